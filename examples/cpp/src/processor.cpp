#include "processor.h"

#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace {

// Instructions whose int8 products add up in an int32, as /proc/cpuinfo names them.
const std::set<std::string> exact = {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"};

}  // namespace

bool may_saturate() {
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);) {
        if (line.rfind("Features", 0) == 0) return false;  // ARM
        if (line.rfind("flags", 0) != 0) continue;         // x86
        std::istringstream words(line.substr(line.find(':') + 1));
        for (std::string flag; words >> flag;) {
            if (exact.count(flag)) return false;
        }
        return true;
    }
    return true;  // slow, but right
}
