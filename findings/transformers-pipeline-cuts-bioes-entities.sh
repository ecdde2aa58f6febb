#!/bin/sh
# transformers 5.24.0: the token-classification pipeline cuts entities of the BIOES scheme in pieces, and shortens
# labels that have a hyphen.
#
# Expected: aggregation_strategy "simple" groups "B-NAME E-NAME" to one entity NAME, as seqeval reads it, and
# a label without a scheme keeps its name. Seen: only B- and I- are known, so that E- begins another entity of the
# same label; and whatever stands before the first hyphen is dropped, so that E-MAIL is reported as MAIL.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 numpy==2.3.5
cd "$work"
HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON' 2>/dev/null
import sys

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForTokenClassification, pipeline

words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "ada", "lovelace", "at"]
made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
made.pre_tokenizer = pre_tokenizers.Whitespace()
made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=made, bos_token="<s>", cls_token="<s>", pad_token="<pad>", eos_token="</s>", sep_token="</s>",
    unk_token="<unk>", mask_token="<mask>",
)


def entities(labels: list[str], said: dict[str, str]) -> list[tuple[str, int, int]]:
    """Find entities with a model that says a label for each word, whatever stands around it."""
    config = RobertaConfig(
        vocab_size=len(words), hidden_size=len(words), num_hidden_layers=0, num_attention_heads=1,
        num_labels=len(labels), id2label=dict(enumerate(labels)), label2id={x: i for i, x in enumerate(labels)},
    )
    model = RobertaForTokenClassification(config).eval()
    with torch.no_grad():
        for table in (model.roberta.embeddings.position_embeddings, model.roberta.embeddings.token_type_embeddings):
            table.weight.zero_()
        model.roberta.embeddings.word_embeddings.weight.copy_(torch.eye(len(words)))
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
        for word, label in said.items():
            model.classifier.weight[labels.index(label), words.index(word)] = 9.0
    find = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
    return [(each["entity_group"], each["start"], each["end"]) for each in find("ada lovelace at")]


bioes = entities(["O", "B-NAME", "E-NAME"], {"ada": "B-NAME", "lovelace": "E-NAME", "at": "O"})
plain = entities(["O", "E-MAIL"], {"ada": "E-MAIL", "lovelace": "E-MAIL", "at": "O"})
print(f"BIOES: {bioes}; a label E-MAIL: {plain}")
wanted = [("NAME", 0, 3), ("NAME", 4, 12)]
sys.exit(0 if bioes == wanted and [label for label, _, _ in plain] == ["MAIL"] else 1)
PYTHON
