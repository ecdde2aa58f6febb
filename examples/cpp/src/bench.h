#pragma once

#include <string>
#include <vector>

#include "bundle.h"
#include "session.h"

struct BenchOptions {
    size_t calls = 1000;
    size_t warm_up = 100;
    bool ids_only = false;  // the engine alone, with the ids of the goldens
};

// Answers single texts, one after the other, and prints a line of JSON: median and 99th percentile of a call in
// milliseconds, by the clock and by the processor time of this process. A call is what an application does:
// tokenize, run, read the answer. `texts`: those of the goldens where empty.
void bench(const Bundle &bundle, Session &session, const std::vector<std::string> &texts, const BenchOptions &options);
