// Bits of the scored tokens of a batch as a convention counts them: the one place where one differs from the model.
#pragma once
#include <memory>
#include <vector>

#include "src/conventions/convention.h"
#include "src/model/language_model.h"

namespace lmbits {

// For the calling thread; the model is loaded, and outlives it.
class BatchScorer {
 public:
  BatchScorer(const LanguageModel& model, const Convention& convention);

  // bits[N] of batch.targets. Batches hold one sequence each where convention.top_k > 0.
  void operator()(const Batch& batch, std::vector<double>& bits) const;

 private:
  const LanguageModel& model_;
  const std::int64_t top_k_;
  std::unique_ptr<Predictor> predictor_;  // of whole distributions, where they are needed
};

}  // namespace lmbits
