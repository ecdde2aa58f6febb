// Text to token ids, by the Rust package `tokenizers`.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bundle.h"

struct BundleTokenizer;

class Tokenizer {
  public:
    // Reads the bundle's tokenizer. Throws std::runtime_error: it is none, or this program was built without.
    explicit Tokenizer(const Bundle &bundle);

    // Whether this program was built with a tokenizer.
    static bool built_in();

    // Returns the ids of an input. Throws std::runtime_error: it is longer than the model takes, and the bundle
    // does not cut such texts.
    std::vector<int64_t> encode(const Input &input) const;

    // The same, cut in any case, as the goldens were.
    std::vector<int64_t> encode_cut(const Input &input) const { return encode(input, true); }

  private:
    std::vector<int64_t> encode(const Input &input, bool cut) const;

    size_t max_length_;
    bool cuts_;
    std::unique_ptr<BundleTokenizer, void (*)(BundleTokenizer *)> tokenizer_;
};
