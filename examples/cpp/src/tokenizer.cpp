#include "tokenizer.h"

#include <array>
#include <filesystem>
#include <stdexcept>

#include "bundle_tokenizer.h"

namespace {

using Reason = std::array<char, 512>;

BundleTokenizer *open(const Bundle &bundle) {
    const auto file = bundle.folder / "tokenizer.json", settings = bundle.folder / "tokenizer_config.json";
    const auto tokenizer = contents(file);
    const auto config = std::filesystem::exists(settings) ? contents(settings) : std::string("{}");
    Reason reason{};
    auto *made = bundle_tokenizer_open(tokenizer.data(), tokenizer.size(), config.data(), config.size(),
                                       bundle.max_length, reason.data(), reason.size());
    if (made == nullptr) throw std::runtime_error(file.string() + ": " + reason.data());
    return made;
}

}  // namespace

Tokenizer::Tokenizer(const Bundle &bundle)
    : max_length_(bundle.max_length), cuts_(bundle.cuts), tokenizer_(open(bundle), bundle_tokenizer_close) {}

bool Tokenizer::built_in() { return true; }

std::vector<int64_t> Tokenizer::encode(const Input &input) const { return encode(input, cuts_); }

std::vector<int64_t> Tokenizer::encode(const Input &input, bool cut) const {
    std::vector<int64_t> ids(max_length_);
    int truncated = 0;
    Reason reason{};
    const auto *second = input.second ? input.second->data() : nullptr;
    const auto found = bundle_tokenizer_encode(
        tokenizer_.get(), input.first.data(), input.first.size(), second, input.second ? input.second->size() : 0,
        ids.data(), &truncated, reason.data(), reason.size());
    if (found < 0) throw std::runtime_error(std::string("tokenizer: ") + reason.data());
    if (truncated && !cut) {
        throw std::runtime_error("longer than " + std::to_string(max_length_) +
                                 " tokens, and this bundle does not cut such texts");
    }
    ids.resize(static_cast<size_t>(found));
    return ids;
}
