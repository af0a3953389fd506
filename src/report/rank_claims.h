// Guo et al. 2024, "Ranking LLMs by compression" (arXiv:2406.14171): is the order by compression ratio the order by
// score? The paper's five models agree on every task; here the claim is asked of own runs, pair by pair.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/correlate_report.h"

namespace lmbits {

// Two models of which the one that compresses better scores lower.
struct DisorderedPair {
  std::string better_compressor, better_scorer;
  double ratio_difference = 0.0, score_difference = 0.0;  // both above 0
  std::optional<bool> within_noise;  // the scores are less than two standard errors of their difference apart
};

struct RankClaim {
  PanelResult result;  // x is the ratio
  std::size_t n_pairs = 0, n_agreeing = 0, n_tied = 0;
  std::vector<DisorderedPair> disordered;  // largest difference in score first
};

struct RankClaims {
  double level = 0.95;
  std::vector<RankClaim> claims;  // overall, areas, benchmarks
  std::vector<std::string> notes;
};

RankClaims rank_claims(const CompressionTable& table, const std::vector<Score>& scores, CorrelateRequest request);

std::string to_text(const RankClaims& report, const TextStyle& style);
Json to_json(const RankClaims& report);

}  // namespace lmbits
