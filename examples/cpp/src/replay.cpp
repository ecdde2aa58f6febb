#include "replay.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>

#include "tokenizer.h"

namespace {

// Infinite where it is not the same number of logits, or one is no number.
float largest_difference(const std::vector<float> &found, const std::vector<float> &wanted) {
    if (found.size() != wanted.size()) return std::numeric_limits<float>::infinity();
    float largest = 0;
    for (size_t i = 0; i < found.size(); ++i) {
        const float difference = std::abs(found[i] - wanted[i]);
        if (!std::isfinite(difference)) return std::numeric_limits<float>::infinity();
        largest = std::max(largest, difference);
    }
    return largest;
}

std::string shown(const Input &input) {
    return input.second ? "\"" + input.first + "\" / \"" + *input.second + "\"" : "\"" + input.first + "\"";
}

}  // namespace

bool replay(const Bundle &bundle, Session &session) {
    const auto goldens = read_goldens(bundle);
    std::unique_ptr<Tokenizer> tokenizer;
    if (Tokenizer::built_in()) tokenizer = std::make_unique<Tokenizer>(bundle);
    size_t right = 0;
    float largest = 0;
    for (const auto &golden : goldens.all) {
        const auto input = shown(golden.input);
        if (tokenizer && tokenizer->encode_cut(golden.input) != golden.ids) {
            std::printf("OTHER TOKENS        %s\n", input.c_str());
            continue;
        }
        const float difference = largest_difference(session.run(golden.ids), golden.logits);
        const bool agrees = difference <= goldens.atol;
        std::printf("%-8s %10.6f %s\n", agrees ? "agrees" : "DIFFERS", difference, input.c_str());
        right += agrees;
        largest = std::max(largest, difference);
    }
    std::printf("%zu of %zu goldens agree: logits differ by %.6f, allowed is %.6f\n", right, goldens.all.size(),
                largest, goldens.atol);
    if (!tokenizer) std::printf("built without a tokenizer: the ids are those of goldens.json\n");
    return right == goldens.all.size();
}
