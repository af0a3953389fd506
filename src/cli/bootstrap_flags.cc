#include "src/cli/bootstrap_flags.h"

#include "src/cli/command.h"

namespace lmbits::cli {

void add_bootstrap_flags(const Command& command, double& level, std::int64_t& n_resamples, std::uint64_t& seed) {
  command.add_option("--level", level, "Confidence level of the intervals (default 0.95)").in_range(0.5, 0.9999);
  command
      .add_option("--resamples", n_resamples,
                  "Bootstrap resamples (default 10000, fewer for very many models or documents)")
      .in_range(100, 10000000);
  command.add_option("--seed", seed, "Seed of all that is drawn at random (default 1)");
}

}  // namespace lmbits::cli
