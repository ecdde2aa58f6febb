#include "session.h"

#include <array>
#include <stdexcept>

#include "processor.h"

namespace {

Ort::SessionOptions options_for(const Bundle &bundle, const std::filesystem::path &graph, int threads) {
    const bool saturates = !bundle.saturation_safe && may_saturate();
    if (saturates && graph.extension() == ".ort") {
        throw std::runtime_error("int8 products can saturate on this processor, and ONNX Runtime has no exact kernels "
                                 "for its own format; use model.onnx");
    }
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(threads);
    options.SetInterOpNumThreads(1);
    // A pattern is kept for every length ever seen, and makes nothing faster.
    options.DisableMemPattern();
    options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);  // what it logs as an error it throws as well
    // Int8 kernels that do not saturate: slower, so only where the fast ones could give wrong answers.
    if (saturates) options.AddConfigEntry("session.x64quantprecision", "1");
    return options;
}

}  // namespace

Session::Session(const Bundle &bundle, const std::filesystem::path &graph, int threads)
    : environment_(ORT_LOGGING_LEVEL_FATAL, "bundle"),
      session_(environment_, graph.c_str(), options_for(bundle, graph, threads)),
      output_(session_.GetOutputNameAllocated(0, Ort::AllocatorWithDefaultOptions()).get()),
      mask_(bundle.max_length, 1) {}

std::vector<float> Session::run(const std::vector<int64_t> &ids) {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const std::array<int64_t, 2> shape = {1, static_cast<int64_t>(ids.size())};
    if (ids.size() > mask_.size()) throw std::runtime_error("more tokens than the model takes");
    // ONNX Runtime reads inputs and does not change them; its interface has no const.
    const auto tensor = [&](const std::vector<int64_t> &values) {
        return Ort::Value::CreateTensor<int64_t>(memory, const_cast<int64_t *>(values.data()), ids.size(),
                                                 shape.data(), shape.size());
    };
    const std::array<Ort::Value, 2> inputs = {tensor(ids), tensor(mask_)};
    const std::array<const char *, 2> input_names = {"input_ids", "attention_mask"};
    const std::array<const char *, 1> output_names = {output_.c_str()};
    const auto outputs = session_.Run(Ort::RunOptions{nullptr}, input_names.data(), inputs.data(), inputs.size(),
                                      output_names.data(), output_names.size());
    const auto *values = outputs[0].GetTensorData<float>();
    return {values, values + outputs[0].GetTensorTypeAndShapeInfo().GetElementCount()};
}
