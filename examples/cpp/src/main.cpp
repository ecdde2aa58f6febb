// Opens a bundle: replays its goldens, labels texts, measures.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>

#include "answer.h"
#include "bench.h"
#include "bundle.h"
#include "replay.h"
#include "session.h"
#include "tokenizer.h"

namespace {

constexpr const char *usage =
    "usage: bundle replay BUNDLE   compare the answers to the goldens with those they must be\n"
    "       bundle label BUNDLE    label each line of standard input (of a pair: two texts, a tab between)\n"
    "       bundle bench BUNDLE    measure single texts; one line of JSON\n"
    "options: --threads N    of the engine for one call; the bundle's own number by default\n"
    "         --graph FILE   another file of the bundle than model.onnx, such as model.ort\n"
    "bench:   --texts FILE   a text per line; those of the goldens by default\n"
    "         --calls N      1000 by default\n"
    "         --warm-up N    calls before, 100 by default\n"
    "         --ids          the engine alone, with the ids of the goldens\n";

struct Arguments {
    std::string command;
    std::filesystem::path bundle;
    std::map<std::string, std::string> options;
};

Arguments read_arguments(int count, char **words) {
    if (count < 3) throw std::invalid_argument("a command and a bundle are needed");
    Arguments found{words[1], words[2], {}};
    for (int i = 3; i < count; ++i) {
        const std::string name = words[i];
        if (name == "--ids") {
            found.options[name] = "";
        } else if (name == "--threads" || name == "--graph" || name == "--texts" || name == "--calls" ||
                   name == "--warm-up") {
            if (++i == count) throw std::invalid_argument(name + " needs a value");
            found.options[name] = words[i];
        } else {
            throw std::invalid_argument("there is no option " + name);
        }
    }
    return found;
}

size_t number(const Arguments &arguments, const std::string &name, size_t otherwise) {
    const auto found = arguments.options.find(name);
    if (found == arguments.options.end()) return otherwise;
    size_t end = 0;
    unsigned long value = 0;
    try {
        value = std::stoul(found->second, &end);
    } catch (const std::exception &) {
        end = 0;
    }
    if (end == 0 || end != found->second.size() || value > 1000000000 || found->second[0] == '-') {
        throw std::invalid_argument(name + " must be a whole number");
    }
    return value;
}

std::vector<std::string> lines(std::istream &stream) {
    std::vector<std::string> all;
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
}

Input parted(const Bundle &bundle, const std::string &line) {
    if (!bundle.pair) return {line, std::nullopt};
    const auto tab = line.find('\t');
    if (tab == std::string::npos) throw std::runtime_error("a line without a tab: the bundle takes pairs");
    return {line.substr(0, tab), line.substr(tab + 1)};
}

void label(const Bundle &bundle, Session &session) {
    const Tokenizer tokenizer(bundle);
    for (std::string line; std::getline(std::cin, line);) {
        std::cout << answer(bundle, session.run(tokenizer.encode(parted(bundle, line)))) << std::endl;
    }
}

void measure(const Bundle &bundle, Session &session, const Arguments &arguments) {
    std::vector<std::string> texts;
    if (arguments.options.count("--texts")) {
        std::ifstream file(arguments.options.at("--texts"));
        texts = lines(file);
        if (texts.empty()) throw std::runtime_error(arguments.options.at("--texts") + ": no texts");
    }
    const bool ids_only = arguments.options.count("--ids") > 0;
    BenchOptions options{number(arguments, "--calls", 1000), number(arguments, "--warm-up", 100), ids_only};
    if (options.calls == 0) throw std::invalid_argument("--calls must be at least 1");
    bench(bundle, session, texts, options);
}

int run(const Arguments &arguments) {
    const auto bundle = read_bundle(arguments.bundle);
    const auto graph = arguments.options.count("--graph") ? arguments.options.at("--graph") : "model.onnx";
    const auto threads = number(arguments, "--threads", static_cast<size_t>(bundle.threads));
    Session session(bundle, bundle.folder / graph, static_cast<int>(threads));
    std::fprintf(stderr, "%s in ONNX Runtime %s, threads: %zu\n", graph.c_str(), Ort::GetVersionString().c_str(),
                 threads);
    if (arguments.command == "replay") return replay(bundle, session) ? 0 : 1;
    if (arguments.command == "label") return label(bundle, session), 0;
    if (arguments.command == "bench") return measure(bundle, session, arguments), 0;
    throw std::invalid_argument("there is no command " + arguments.command);
}

}  // namespace

int main(int count, char **words) {
    try {
        return run(read_arguments(count, words));
    } catch (const std::invalid_argument &error) {
        std::fprintf(stderr, "%s\n%s", error.what(), usage);
        return 2;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
