#include "src/cli/rank_flags.h"

#include <CLI/CLI.hpp>

#include "src/core/thread_pool.h"

namespace lmbits::cli {

void add_rank_flags(CLI::App& command, RankFlags& flags) {
  command.add_option("--by", flags.by, "bits_per_byte (default), bits_per_char or ratio")
      ->check(CLI::IsMember({"bits_per_byte", "bits_per_char", "ratio"}));
  command.add_option("--level", flags.request.level, "Confidence level of the intervals (default 0.95)")
      ->check(CLI::Range(0.5, 0.9999));
  command.add_option("--method", flags.method, "Bootstrap interval: bca (default) or percentile")
      ->check(CLI::IsMember({"bca", "percentile"}));
  command
      .add_option("--resamples", flags.request.n_resamples,
                  "Bootstrap resamples (default 10000, fewer for very many models or documents)")
      ->check(CLI::Range(100, 10000000));
  command.add_option("--seed", flags.request.seed, "Seed of the resamples (default 1)");
  command.add_option("--corpus", flags.request.corpora, "Only these corpora (default all)");
}

RankRequest rank_request(const RankFlags& flags) {
  RankRequest request = flags.request;
  request.metric = flags.by == "ratio"           ? Metric::kRatio
                   : flags.by == "bits_per_char" ? Metric::kBitsPerChar
                                                 : Metric::kBitsPerByte;
  request.method = flags.method == "bca" ? IntervalMethod::kBca : IntervalMethod::kPercentile;
  request.n_threads = available_threads();
  return request;
}

}  // namespace lmbits::cli
