// The model in ONNX Runtime, with the settings that EdgeRoBERTa's Python runtime has.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bundle.h"

class Session {
  public:
    // Loads a graph (`model.onnx`, or `model.ort`); `threads` for one call, 0 for all cores.
    Session(const Bundle &bundle, const std::filesystem::path &graph, int threads);

    // Returns the logits of one input, as many as the bundle has labels.
    std::vector<float> run(const std::vector<int64_t> &ids);

  private:
    Ort::Env environment_;
    Ort::Session session_;
    std::string output_;
    std::vector<int64_t> mask_;
};
