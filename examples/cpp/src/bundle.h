// What a bundle says of itself, and the answers that it must give.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

enum class Problem { single_label, multi_label, regression };

// One input: a text, or a pair of texts.
struct Input {
    std::string first;
    std::optional<std::string> second;
};

struct Golden {
    Input input;
    std::vector<int64_t> ids;
    std::vector<float> logits;
};

struct Goldens {
    std::vector<Golden> all;
    float atol;  // largest absolute difference of a logit that still is the same answer
};

struct Bundle {
    std::filesystem::path folder;
    Problem problem;
    std::vector<std::string> labels;  // in the order of the logits
    bool pair;                        // whether an input is two texts
    size_t max_length;                // tokens, special tokens included
    bool cuts;                        // whether longer texts are cut; they are not to be answered where not
    int threads;                      // of the engine, unless told otherwise
    bool saturation_safe;             // whether no int8 product can saturate an int16
};

// Reads `manifest.json`, and looks that its files are there in their sizes. Throws std::runtime_error: it is no
// bundle, is newer than this program, or has a task that this program does not know.
Bundle read_bundle(const std::filesystem::path &folder);

Goldens read_goldens(const Bundle &bundle);

// The contents of a file. Throws std::runtime_error: it cannot be read.
std::string contents(const std::filesystem::path &file);
