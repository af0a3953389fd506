// Predictors of a TorchScript module. Included only where torch is at home: src/model/*.cc.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "src/model/head_nll.h"
#include "src/model/predictor.h"
#include "src/model/torch_module.h"

namespace lmbits {

// What the predictors of one module share.
class TorchPredictors {
 public:
  // `head` may be null: then the module's own `head`, or at level 0 forward alone, gives the logits. All must outlive
  // this and what it makes.
  TorchPredictors(const TorchModule& module, const WeightHead* head, std::int64_t vocab_size,
                  std::int64_t context_length);

  std::unique_ptr<Predictor> make() const;

 private:
  friend class TorchPredictor;
  bool proves_itself(std::int64_t context_length);

  const TorchModule& module_;
  const WeightHead* head_;
  std::int64_t vocab_size_;
  std::int64_t n_caches_ = 0;
  std::int64_t cache_bytes_per_position_ = 0;
  mutable std::optional<torch::jit::GraphExecutor> step_;  // run() is not const, but safe from several threads
};

}  // namespace lmbits
