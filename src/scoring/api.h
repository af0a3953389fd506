// What the program calls in lmbits_eval. The program does not link that library: it opens it when a command needs a
// model, so that the others start in milliseconds, on machines without libtorch too.
#pragma once
#include <string>
#include <vector>

#include "src/scoring/choose.h"
#include "src/scoring/compress.h"
#include "src/scoring/evaluate.h"
#include "src/scoring/race_models.h"
#include "src/selection/conditional_bits.h"

namespace lmbits {

// One scored token of a text.
struct TokenCost {
  std::string bytes;  // of the source
  std::int32_t id;
  double bits;
};

struct EvalApi {
  EvalOutcome (*evaluate)(const EvalRequest& request, EvalObserver& observer);
  // What a model file says of itself, and what is wrong with it ("problem"): see describe_model.
  Json (*inspect_model)(const std::string& model, const std::string& dtype);
  // The bits of each token of `text`.
  std::vector<TokenCost> (*inspect_text)(const std::string& model, const std::string& text,
                                         const ConventionOptions& convention);
  Json (*describe)();  // versions and devices
  ChooseOutcome (*choose)(const ChooseRequest& request, Progress& progress);
  CompressOutcome (*compress)(const CompressRequest& request, Progress& progress);
  CompressOutcome (*decompress)(const DecompressRequest& request, Progress& progress);
  RaceOutcome (*race_models)(const RaceRequest& request, const std::function<void(const RaceStatus&)>& status);
  // For a selection by a model's own bits.
  std::unique_ptr<ConditionalBits> (*open_conditional_bits)(const std::string& model, int n_threads);
};

// The one symbol that is looked up.
extern "C" const EvalApi* lmbits_eval_api();
inline constexpr const char* kEvalApiSymbol = "lmbits_eval_api";

}  // namespace lmbits
