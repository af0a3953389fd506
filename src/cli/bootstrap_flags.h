// --level, --resamples and --seed: the same for every command that resamples runs.
#pragma once
#include <cstdint>

namespace lmbits::cli {

class Command;

// `n_resamples` 0: as many as the command thinks right.
void add_bootstrap_flags(const Command& command, double& level, std::int64_t& n_resamples, std::uint64_t& seed);

}  // namespace lmbits::cli
