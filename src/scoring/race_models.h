// A race between models on corpora: pieces are scored in a random order until the data have settled what was asked.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "src/scoring/evaluate.h"
#include "src/stats/race.h"

namespace lmbits {

struct RaceRequest {
  EvalRequest eval;  // models in the order in which they are expected to rank, as checkpoints by step; no baselines
  RaceOptions race;
  std::string baseline;  // for RaceGoal::kBaseline: its name
};

// A model's part in the race.
struct RacedModel {
  std::string name;
  std::int64_t n_pieces = 0;      // scored by it
  std::int64_t n_tokens = 0;      // scored by it in this race, or before it in the same folder
  std::int64_t n_parameters = 0;  // 0: unknown
  double bits_per_byte = 0.0;     // estimated, for the whole corpora
};

// What a race says of itself, before it and after each look.
struct RaceStatus {
  std::int64_t n_pieces = 0, n_scored = 0;  // of the corpora; by every model that is still in the race
  std::vector<std::string> active;
};

struct RaceOutcome {
  std::vector<RacedModel> models;         // in the order of the request
  std::vector<std::size_t> order;         // see Race::order
  std::vector<std::vector<char>> before;  // [K][K]: "i before j" was claimed
  std::int64_t n_pieces = 0;              // of the corpora
  double token_share = 0.0;               // of what scoring all would take, by each model's tokens a byte
  std::optional<double> compute_share;    // the same, tokens weighted by parameters; null where some are unknown
  bool interrupted = false;
  std::vector<std::string> warnings;
};

// Runs are written below request.eval.output as by `evaluate`, without a summary: nothing that was scored is lost, the same
// race resumes, and `lmbits eval` completes them. A piece that fails under any model counts for none. Throws Error(kConfig)
// for under two models or pieces, Error(kModel) where a model cannot be run.
RaceOutcome race_models(const RaceRequest& request, const std::function<void(const RaceStatus&)>& status);

}  // namespace lmbits
