#include "src/cli/rank_flags.h"

#include "src/cli/bootstrap_flags.h"
#include "src/cli/command.h"
#include "src/core/thread_pool.h"

namespace lmbits::cli {

void add_rank_flags(const Command& command, RankFlags& flags) {
  command.add_option("--by", flags.by, "bits_per_byte (default), bits_per_char or ratio")
      .one_of({"bits_per_byte", "bits_per_char", "ratio"});
  add_bootstrap_flags(command, flags.request.level, flags.request.n_resamples, flags.request.seed);
  command.add_option("--method", flags.method, "Bootstrap interval: bca (default) or percentile")
      .one_of({"bca", "percentile"});
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
