// Benchmark scores: one file format for what was measured here and elsewhere. docs/formats.md describes it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/json_fwd.h"

namespace lmbits {

struct Score {
  std::string model, benchmark;
  std::string area;                      // what the benchmark is about ("code"); empty: not said
  std::string metric;                    // "acc", "acc_norm", "exact_match,strict-match" ...
  double value = 0.0;                    // in the metric's own unit; shares are in [0, 1], never percent
  std::optional<std::int64_t> n;         // questions
  std::optional<double> standard_error;  // of the value, over questions
  std::string source;                    // the file or program it comes from; empty: not said
  bool lower_is_better = false;          // of the metric: bits, perplexities, errors
};

// What a metric's name says where nothing else does: true for "word_perplexity", "answer_bits", "brier_score" and the
// like, not for "margin_bits". A filter after the comma says nothing.
bool lower_is_better_by_name(const std::string& metric);

Json to_json(const Score& score);

// A line each, in the order given.
std::string to_jsonl(const std::vector<Score>& scores);

// Lines as to_jsonl writes them; a line whose value is null is skipped. Throws Error(kData) with file, line and key for
// what is missing or of another type, and for another schema.
std::vector<Score> parse_scores(std::string_view jsonl, const std::string& source);

}  // namespace lmbits
