// Words and numbers as all reports write them.
#pragma once
#include <cstdint>
#include <string>

#include "src/stats/ranking.h"

namespace lmbits {

std::string metric_key(Metric metric);                         // "bits_per_byte"
std::string metric_title(Metric metric);                       // "bits/byte ↓"
std::string percent_as_given(double share);                    // as many decimals as it needs: "0.2 %", "95 %"
std::string with_thousands(std::int64_t n);                    // "12,345"
std::string counted(std::int64_t n, const std::string& noun);  // "1 document", "12,345 documents"

}  // namespace lmbits
