// `lmbits rank --adaptive`: scores as little as settles the order.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace lmbits::cli {

class Command;

struct AdaptiveFlags {
  bool adaptive = false;
  std::vector<std::string> models, corpora;
  std::string split = "1024", field = "text", patch = "32x64", goal = "order", zone = "0", dtype = "auto",
              device = "cpu";
  std::int64_t threads = 1;
};

void add_adaptive_flags(const Command& command, AdaptiveFlags& flags);
// `directory` is where the runs are written. Returns the exit code.
int run_adaptive(const AdaptiveFlags& flags, const std::string& directory, double level, std::uint64_t seed, bool json);

}  // namespace lmbits::cli
