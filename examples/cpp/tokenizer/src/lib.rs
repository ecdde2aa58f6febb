//! The C interface that `bundle_tokenizer.h` declares.

mod settings;

use std::ffi::{c_char, c_int};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::{ptr, slice, str};

use tokenizers::{
    EncodeInput, Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy,
};

use settings::Settings;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub struct BundleTokenizer {
    tokenizer: Tokenizer,
    max_length: usize,
}

impl BundleTokenizer {
    fn open(tokenizer: &str, config: &str, max_length: usize) -> Result<Self, Failure> {
        let settings = Settings::parse(config)?;
        let mut tokenizer: Tokenizer = settings.applied(tokenizer)?.parse()?;
        tokenizer.set_encode_special_tokens(settings.split_special_tokens);
        let stored = tokenizer.get_truncation().map(|stored| stored.direction);
        tokenizer.with_padding(None);
        tokenizer.with_truncation(Some(TruncationParams {
            max_length,
            stride: 0,
            strategy: TruncationStrategy::LongestFirst,
            direction: settings
                .truncation_side
                .or(stored)
                .unwrap_or(TruncationDirection::Right),
        }))?;
        Ok(Self { tokenizer, max_length })
    }

    fn encode(&self, first: &str, second: Option<&str>) -> Result<(Vec<u32>, bool), Failure> {
        let input = match second {
            None => EncodeInput::Single(first.into()),
            Some(second) => EncodeInput::Dual(first.into(), second.into()),
        };
        let found = self.tokenizer.encode_fast(input, true)?;
        if found.len() > self.max_length {
            return Err("the special tokens alone are longer than the model takes".into());
        }
        Ok((found.get_ids().to_vec(), !found.get_overflowing().is_empty()))
    }
}

/// # Safety
/// Pointers are valid for the sizes given with them; `config` may be null.
#[no_mangle]
pub unsafe extern "C" fn bundle_tokenizer_open(
    tokenizer: *const c_char,
    tokenizer_bytes: usize,
    config: *const c_char,
    config_bytes: usize,
    max_length: usize,
    error: *mut c_char,
    room: usize,
) -> *mut BundleTokenizer {
    let made = caught(|| {
        let config = if config.is_null() { "{}" } else { text(config, config_bytes)? };
        BundleTokenizer::open(text(tokenizer, tokenizer_bytes)?, config, max_length)
    });
    match made {
        Ok(made) => Box::into_raw(Box::new(made)),
        Err(reason) => {
            tell(&reason.to_string(), error, room);
            ptr::null_mut()
        }
    }
}

/// # Safety
/// As for [`bundle_tokenizer_open`]; `second` may be null; `ids` has room for `max_length` numbers.
#[no_mangle]
pub unsafe extern "C" fn bundle_tokenizer_encode(
    tokenizer: *const BundleTokenizer,
    first: *const c_char,
    first_bytes: usize,
    second: *const c_char,
    second_bytes: usize,
    ids: *mut i64,
    truncated: *mut c_int,
    error: *mut c_char,
    room: usize,
) -> isize {
    let found = caught(|| {
        let second = if second.is_null() { None } else { Some(text(second, second_bytes)?) };
        (*tokenizer).encode(text(first, first_bytes)?, second)
    });
    match found {
        Ok((numbers, cut)) => {
            for (place, number) in numbers.iter().enumerate() {
                *ids.add(place) = i64::from(*number);
            }
            *truncated = c_int::from(cut);
            numbers.len() as isize
        }
        Err(reason) => {
            tell(&reason.to_string(), error, room);
            -1
        }
    }
}

/// # Safety
/// `tokenizer` is null or comes from [`bundle_tokenizer_open`], and is not used any more.
#[no_mangle]
pub unsafe extern "C" fn bundle_tokenizer_close(tokenizer: *mut BundleTokenizer) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

/// Turns a panic, which must not unwind into C, into an error.
fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the tokenizer panicked".into()))
}

unsafe fn text<'a>(start: *const c_char, bytes: usize) -> Result<&'a str, Failure> {
    if bytes == 0 {
        return Ok("");
    }
    Ok(str::from_utf8(slice::from_raw_parts(start.cast(), bytes))?)
}

/// Writes as much of a message as there is room for, and a 0 behind it.
unsafe fn tell(message: &str, error: *mut c_char, room: usize) {
    if room == 0 {
        return;
    }
    let kept = message.len().min(room - 1);
    ptr::copy_nonoverlapping(message.as_ptr().cast(), error, kept);
    *error.add(kept) = 0;
}
