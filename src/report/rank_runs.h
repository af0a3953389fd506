// The runs of a folder ranked, per corpus and overall: the numbers behind `lmbits rank` and `lmbits report`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/stats/ranking.h"
#include "src/store/run_directory.h"

namespace lmbits {

struct RankRequest {
  Metric metric = Metric::kBitsPerByte;
  double level = 0.95;
  IntervalMethod method = IntervalMethod::kBca;
  std::int64_t n_resamples = 0;  // 0: as many as default_resamples says for the largest corpus
  std::uint64_t seed = 1;
  std::vector<std::string> corpora = {};  // none: all
  bool baselines = true;                  // the corpus as one stream
  bool document_baselines = false;        // also each document by itself
  int n_threads = 1;
};

struct RankReportRow {
  std::string name;
  bool is_baseline = false;  // then only name, value and difference of `ranked` count
  RankedModel ranked;
  std::optional<double> bits_per_byte, bits_per_char, ratio;  // on the documents compared; pooled like the value
  std::optional<std::int64_t> n_scored, n_failed;  // of the run, compared or not; null for a baseline and overall
};

struct RankReportTable {
  std::string corpus;  // overall: empty, but for rank_categories
  std::string convention;
  std::optional<Pooling> pooling;                          // overall only
  std::vector<std::string> pooled;                         // overall only: the corpora
  std::string unit = "document";                           // or "block"
  std::int64_t n_documents = 0, n_units = 0, n_bytes = 0;  // compared
  std::vector<RankReportRow> rows;                         // best first
  std::vector<std::string> warnings;
};

struct RankReport {
  RankRequest request;  // with the number of resamples that was used
  std::vector<RankReportTable> tables, overall;
  std::vector<std::string> warnings = {};  // of the folder as a whole, such as models that could not be run
};

// A table for each corpus and convention, and the two overall tables of each convention with at least two corpora.
// Models are compared on the documents that all of them scored. Runs that are unfinished, have scored nothing, or failed
// on more than half of the documents are named in a warning and not ranked. Throws Error(kData) as check_names and
// pair_runs do, and where there is no run.
RankReport rank_runs(const std::vector<Run>& runs, const RankRequest& request);

}  // namespace lmbits
