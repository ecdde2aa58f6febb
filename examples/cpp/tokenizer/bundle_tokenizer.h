// C interface of the Rust package `tokenizers`, for the tokenizer of a bundle. All texts are UTF-8.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BundleTokenizer BundleTokenizer;

// Reads the contents of `tokenizer.json`, and over them what `tokenizer_config.json` says of ids (null where
// there is none). Returns null on failure, with the reason in `error` (at most `room` bytes, ended by 0).
BundleTokenizer *bundle_tokenizer_open(const char *tokenizer, size_t tokenizer_bytes, const char *config,
                                       size_t config_bytes, size_t max_length, char *error, size_t room);

// Writes the ids of a text, or of a pair where `second` is not null, to `ids` (room for `max_length`), and
// whether something was cut off to `truncated`. Returns their number, or -1 with the reason in `error`.
// May be called from several threads at once.
ptrdiff_t bundle_tokenizer_encode(const BundleTokenizer *tokenizer, const char *first, size_t first_bytes,
                                  const char *second, size_t second_bytes, int64_t *ids, int *truncated,
                                  char *error, size_t room);

void bundle_tokenizer_close(BundleTokenizer *tokenizer);

#ifdef __cplusplus
}
#endif
