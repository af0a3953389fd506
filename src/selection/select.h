// Greedy selection of the samples that are least redundant: ZIP (Yin et al. 2024, arXiv:2407.06645).
//
// With R(S) = raw bytes / stored bytes of a set of samples, in stages until the budget is full:
//   1. (once) score each sample alone: R({x});
//   2. take the k1 with the lowest stored score, rescore each as R(chosen + {x}), store that;
//   3. of these take the k2 lowest as a block; from an empty set, add the one with the lowest R(added + {x}) until k3;
//   4. append the added ones to the chosen.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/core/progress.h"
#include "src/selection/cost_model.h"

namespace lmbits {

enum class SelectAlgorithm {
  // What the released code does: scores in float32, ties as torch.topk breaks them, block members that were not added are
  // not offered again until everything was, then anything (chosen or not) is; whole steps of k3, so that the budget
  // is overshot; a pool smaller than k1 is an error.
  kZipReference,
  // The same with its defects mended: block members that were not added keep their new score and stay in the pool, the
  // budget is met exactly, no sample is chosen twice, k1, k2 and k3 are cut to what is left, of equal scores the sample
  // that comes first in the pool wins.
  kZip,
};

// A sample's group (its source, its length) may give up to `room[group]` samples. kZip only.
struct GroupRoom {
  std::vector<std::int32_t> group_of;  // by record; -1: not limited
  std::vector<std::int64_t> room;
};

struct SelectOptions {
  SelectAlgorithm algorithm = SelectAlgorithm::kZip;
  std::int64_t k1 = 10000, k2 = 200, k3 = 100;  // Yin et al.'s
  enum class Unit { kSamples, kBytes, kTokens } unit = Unit::kSamples;
  std::int64_t budget = 10000;                // of samples, or of their texts' bytes or tokens
  std::int64_t min_bytes = 0, max_bytes = 0;  // of a sample's text; 0: any. kZip only, which leaves out blank ones, too
  // A sample is passed over for good where what it adds to the chosen is less than this share of what it adds to an empty
  // set, and within a block, too (there it stays in the pool). 0: none is. kZip only.
  double min_new = 0.0;
  double batch_seconds = 0.5;  // about how long no look is taken at the stop flag, and nothing saved
};

// White space alone, or nothing: compresses worst of all, and says nothing.
bool is_blank(const std::string& text);

// Whether a sample of this text is offered at all.
bool is_offered(const SelectOptions& options, const std::string& text);

// What is chosen from. Functions are called from several threads.
struct SelectInput {
  std::int64_t n_records = 0;
  std::function<std::string(std::int64_t)> text;           // throws Error(kData) for a record that cannot be used
  std::function<std::int64_t(const std::string&)> tokens;  // of a text; only for Unit::kTokens
  // The set's bytes: open, then each text and `separator`; a last one has `close` behind it.
  std::string open = {}, separator = "\n", close = "\n";
  std::vector<GroupRoom> groups = {};  // each limits by itself
};

struct Choice {
  std::int64_t record = 0;
  std::int64_t n_bytes = 0, n_tokens = 0;  // of the text; tokens are counted for Unit::kTokens only
  std::int64_t stage = 0;                  // from 1
  double ratio_alone = 0.0, ratio_with_chosen = 0.0, ratio_in_block = 0.0;
};

struct Candidate {
  std::int64_t record = 0;
  std::int64_t n_bytes = 0, n_tokens = 0;
  double score = 0.0;  // the stored one
  double alone = 0.0;
  bool is_open = true;    // may still be chosen; kZip only
  bool is_blank = false;  // and therefore left out; kZip only
};

// The stage under way, as far as it has come: what a stop or a kill within it does not lose.
struct SelectStage {
  std::vector<std::int64_t> top;  // the k1 that are rescored, places in SelectState::candidates; empty between stages
  std::vector<std::int64_t> members;  // of them, the block; empty while they are rescored
  std::vector<double> with_chosen;    // the members' ratios
  // Of what is scored now: of `top` behind the chosen, later of the open members behind what was added. Their first ones.
  std::vector<StoredSize> sizes;
};

// Everything a selection has found out; with the same input and options it goes on from a copy as if never stopped.
struct SelectState {
  std::int64_t n_scored = 0;          // records of the pool, from the first on, that were scored alone
  std::vector<Candidate> candidates;  // by record, without those that failed
  std::vector<Choice> choices;
  std::int64_t n_stages = 0;  // that are over
  SelectStage stage;          // its choices are among `choices`, with stage n_stages + 1
  struct Failure {
    std::int64_t record;
    std::string error;
  };
  std::vector<Failure> failures;
};

enum class SelectEnd { kDone, kStopped, kPoolUsedUp };

// Goes on from `state` until the budget is full, the pool is used up, or a stop was requested (stop_requested()). `saved` is
// called whenever there is something new to save, about every options.batch_seconds, but not within one text; a stop is
// seen as often, and while the chosen texts of a copy are stored anew. Throws Error(kConfig) where k1 > candidates or k2 > k1
// (kZipReference), and what the model throws.
SelectEnd select(const SelectInput& input, const CostModel& model, const SelectOptions& options, SelectState& state,
                 Progress& progress, const std::function<void(const SelectState&)>& saved);

}  // namespace lmbits
