#include "bundle.h"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// The newest schema of manifest.json that this program was written for (docs/reference/bundle.md).
constexpr int newest_schema = 6;

const std::map<std::string, Problem> problems = {
    {"single_label_classification", Problem::single_label},
    {"multi_label_classification", Problem::multi_label},
    {"regression", Problem::regression},
};

std::runtime_error trouble(const fs::path &file, const std::string &what) {
    return std::runtime_error(file.string() + ": " + what);
}

json parse(const fs::path &file) {
    try {
        return json::parse(contents(file));
    } catch (const json::exception &error) {
        throw trouble(file, error.what());
    }
}

// Hashes are left to tools made for it; a copy that broke off is seen by its sizes.
void check_sizes(const fs::path &folder, const json &files) {
    for (const auto &[name, entry] : files.items()) {
        std::error_code missing;
        const auto size = fs::file_size(folder / name, missing);
        if (missing || size != entry.at("bytes").get<uintmax_t>()) {
            throw trouble(folder / name, missing ? "a file of the bundle is missing" : "not of the size it was");
        }
    }
}

// What this program would answer wrongly, it refuses.
void refuse_unknown(const fs::path &file, const json &fields) {
    if (fields.value("kind", "") != "edgeroberta-bundle") throw trouble(file, "not the manifest of a bundle");
    if (fields.at("schema_version").get<int>() > newest_schema) throw trouble(file, "newer than this program");
    if (fields.contains("cascade")) throw trouble(file, "a cascade; this program has one model");
    if (fields.contains("separator_id")) throw trouble(file, "pairs with token types, which this program lacks");
    const auto problem = fields.at("task").at("problem").get<std::string>();
    if (!problems.count(problem)) throw trouble(file, "the task " + problem + ", which this program lacks");
}

Input input_of(const json &item) {
    if (item.is_string()) return {item.get<std::string>(), std::nullopt};
    return {item.at(0).get<std::string>(), item.at(1).get<std::string>()};
}

}  // namespace

std::string contents(const fs::path &file) {
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    if (!stream || !(text << stream.rdbuf())) throw trouble(file, "cannot be read");
    return text.str();
}

Bundle read_bundle(const fs::path &folder) {
    const auto file = folder / "manifest.json";
    const auto fields = parse(file);
    try {
        refuse_unknown(file, fields);
        check_sizes(folder, fields.at("files"));
        const auto &task = fields.at("task");
        const auto saturation = fields.value("saturation", json());
        return {
            folder,
            problems.at(task.at("problem").get<std::string>()),
            task.at("labels").get<std::vector<std::string>>(),
            task.at("pair").get<bool>(),
            fields.at("max_length").get<size_t>(),
            !fields.contains("long_text"),
            fields.at("threads").get<int>(),
            !saturation.is_null() && saturation.at("safe").get<bool>(),
        };
    } catch (const json::exception &error) {
        throw trouble(file, error.what());
    }
}

Goldens read_goldens(const Bundle &bundle) {
    const auto file = bundle.folder / "goldens.json";
    const auto fields = parse(file);
    try {
        const auto &inputs = fields.at("inputs"), &ids = fields.at("ids"), &logits = fields.at("logits");
        if (inputs.empty() || inputs.size() != ids.size() || inputs.size() != logits.size()) {
            throw trouble(file, "not as many inputs as answers, or none");
        }
        Goldens goldens{{}, fields.at("atol").get<float>()};
        for (size_t i = 0; i < inputs.size(); ++i) {
            goldens.all.push_back({input_of(inputs[i]), ids[i].get<std::vector<int64_t>>(),
                                   logits[i].get<std::vector<float>>()});
        }
        return goldens;
    } catch (const json::exception &error) {
        throw trouble(file, error.what());
    }
}
