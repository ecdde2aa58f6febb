// Logits as answers.
#pragma once

#include <string>
#include <vector>

#include "bundle.h"

// Returns the labels that apply and their probabilities, or the value of a regression, as one line of text:
// `positive 0.9812`.
std::string answer(const Bundle &bundle, const std::vector<float> &logits);
