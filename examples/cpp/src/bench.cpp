#include "bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <stdexcept>

#include "answer.h"
#include "tokenizer.h"

namespace {

double clock_ms() {
    using namespace std::chrono;
    return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

// All threads of this process, so that an engine with several is not taken for a fast one.
double processor_ms() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// Between the two nearest, as numpy's percentile has it.
double percentile(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(std::floor(place));
    const auto above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace

void bench(const Bundle &bundle, Session &session, const std::vector<std::string> &texts,
           const BenchOptions &options) {
    std::vector<Input> inputs;
    const auto goldens = read_goldens(bundle).all;
    for (const auto &text : texts) inputs.push_back({text, std::nullopt});
    if (inputs.empty()) {
        for (const auto &golden : goldens) inputs.push_back(golden.input);
    }
    if (bundle.pair && !texts.empty()) throw std::runtime_error("the bundle takes pairs; leave --texts out");
    std::function<std::string(size_t)> call;
    if (options.ids_only) {
        call = [&](size_t i) { return answer(bundle, session.run(goldens[i % goldens.size()].ids)); };
    } else {
        call = [&, tokenizer = std::make_shared<Tokenizer>(bundle)](size_t i) {
            return answer(bundle, session.run(tokenizer->encode(inputs[i % inputs.size()])));
        };
    }
    for (size_t i = 0; i < options.warm_up; ++i) call(i);
    std::vector<double> wall, processor;
    for (size_t i = 0; i < options.calls; ++i) {
        const double clock = clock_ms(), used = processor_ms();
        call(i);
        processor.push_back(processor_ms() - used);
        wall.push_back(clock_ms() - clock);
    }
    std::printf(
        "{\"calls\": %zu, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"processor_p50_ms\": %.4f, "
        "\"processor_p99_ms\": %.4f, \"tokenizes\": %s}\n",
        options.calls, percentile(wall, 0.5), percentile(wall, 0.99), percentile(processor, 0.5),
        percentile(processor, 0.99), options.ids_only ? "false" : "true");
}
