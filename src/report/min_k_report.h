// MIN-K% Prob between two texts: has a model been trained on one of them? Huang et al. 2024 use it (k = 20) to see that
// their corpora were not part of training.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/table.h"
#include "src/stats/min_k.h"

namespace lmbits {

struct ScoredToken {
  std::int64_t n_bytes;
  double bits;
};

struct MinKModel {
  std::string model;
  std::size_t n_a = 0, n_b = 0;  // examples
  SampleComparison comparison;
};

struct MinKReport {
  std::string a, b;  // texts
  double share = 0.2;
  std::int64_t example_bytes = 2048;
  double level = 0.95;
  std::int64_t n_resamples = 10000;
  std::uint64_t seed = 1;
  std::vector<MinKModel> models;
};

// MIN-K% bits of the examples of a text: pieces of about `example_bytes`, cut between tokens; a last one of less than
// half of that is left out.
std::vector<double> min_k_examples(std::span<const ScoredToken> tokens, double share, std::int64_t example_bytes);

// Adds a model to `report`. Throws Error(kData) where a text has fewer than two examples.
void add_model(MinKReport& report, const std::string& model, std::span<const ScoredToken> a,
               std::span<const ScoredToken> b);

std::string to_text(const MinKReport& report, const TextStyle& style);
Json to_json(const MinKReport& report);

}  // namespace lmbits
