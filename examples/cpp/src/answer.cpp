#include "answer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace {

std::string with_number(const std::string &name, double number) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", number);
    return name.empty() ? text : name + " " + text;
}

std::string likeliest(const Bundle &bundle, const std::vector<float> &logits) {
    const auto top = std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - *top);
    return with_number(bundle.labels.at(static_cast<size_t>(top - logits.begin())), 1 / sum);
}

std::string all_that_apply(const Bundle &bundle, const std::vector<float> &logits) {
    std::string line;
    for (size_t i = 0; i < logits.size(); ++i) {
        if (logits[i] <= 0) continue;  // a probability of one half at most
        if (!line.empty()) line += ", ";
        line += with_number(bundle.labels.at(i), 1 / (1 + std::exp(-static_cast<double>(logits[i]))));
    }
    return line;
}

}  // namespace

std::string answer(const Bundle &bundle, const std::vector<float> &logits) {
    if (logits.empty() || !std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); })) {
        throw std::runtime_error("the engine answered with a number that is not finite");
    }
    switch (bundle.problem) {
        case Problem::single_label: return likeliest(bundle, logits);
        case Problem::multi_label: return all_that_apply(bundle, logits);
        case Problem::regression: return with_number("", logits[0]);
    }
    throw std::logic_error("a problem without an answer");
}
