#include "src/scoring/batch_scorer.h"

#include "src/conventions/top_k.h"

namespace lmbits {
namespace {

// A bundle's own step, which serves where nothing else does, knows no rows of a window.
std::unique_ptr<Predictor> predictor_of_windows(const LanguageModel& model) {
  auto predictor = model.predictor();
  return predictor->decoding() == Decoding::kStep ? model.predictor(Decoding::kWindow) : std::move(predictor);
}

}  // namespace

BatchScorer::BatchScorer(const LanguageModel& model, const Convention& convention)
    : model_(model), top_k_(convention.top_k), predictor_(top_k_ > 0 ? predictor_of_windows(model) : nullptr) {}

void BatchScorer::operator()(const Batch& batch, std::vector<double>& bits) const {
  if (top_k_ == 0) return model_.score(batch, bits);
  bits.resize(batch.targets.size());
  predictor_->predict(batch, [&](std::size_t i, std::span<const float> logits) {
    bits[i] = top_k_bits(logits, batch.targets[i], top_k_);
  });
}

}  // namespace lmbits
