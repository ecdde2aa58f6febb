//! What `tokenizer_config.json` overrules in `tokenizer.json`, as the Python runtime and transformers have it.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tokenizers::TruncationDirection;

use crate::Failure;

/// What BERT's tokenizers make of characters, and what `tokenizer.json` calls it.
const CHARACTERS: [(&str, &str); 3] = [
    ("do_lower_case", "lowercase"),
    ("strip_accents", "strip_accents"),
    ("tokenize_chinese_chars", "handle_chinese_chars"),
];

pub struct Settings {
    stated: Map<String, Value>,
    pub split_special_tokens: bool,
    pub truncation_side: Option<TruncationDirection>,
}

impl Settings {
    pub fn parse(config: &str) -> Result<Self, Failure> {
        let stated: Map<String, Value> = serde_json::from_str(config)?;
        let truncation_side = match stated.get("truncation_side") {
            None => None,
            Some(side) if side == "right" => Some(TruncationDirection::Right),
            Some(side) if side == "left" => Some(TruncationDirection::Left),
            Some(other) => return Err(format!("truncation_side is {other}, not right or left").into()),
        };
        let split_special_tokens = match stated.get("split_special_tokens") {
            None => false,
            Some(Value::Bool(split)) => *split,
            Some(other) => return Err(format!("split_special_tokens is {other}, not a boolean").into()),
        };
        Ok(Self { stated, split_special_tokens, truncation_side })
    }

    /// Returns `tokenizer.json` with its steps as these settings want them.
    pub fn applied<'a>(&self, tokenizer: &'a str) -> Result<Cow<'a, str>, Failure> {
        let names = CHARACTERS.iter().map(|(stated, _)| *stated).chain(["add_prefix_space"]);
        if !names.into_iter().any(|name| self.stated.contains_key(name)) {
            return Ok(tokenizer.into()); // as it is: a vocabulary is not parsed twice
        }
        let mut fields: Value = serde_json::from_str(tokenizer)?;
        self.overrule(&mut fields["pre_tokenizer"], "add_prefix_space", "add_prefix_space");
        if fields["normalizer"]["type"] == "BertNormalizer" {
            for (stated, name) in CHARACTERS {
                self.overrule(&mut fields["normalizer"], stated, name);
            }
        }
        Ok(fields.to_string().into())
    }

    fn overrule(&self, step: &mut Value, stated: &str, name: &str) {
        if let (Some(value), Some(field)) = (self.stated.get(stated), step.get_mut(name)) {
            *field = value.clone();
        }
    }
}
