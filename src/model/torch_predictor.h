// Predictors of a TorchScript module. Included only where torch is at home: src/model/*.cc.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "src/model/head_nll.h"
#include "src/model/model_graph.h"
#include "src/model/predictor.h"

namespace lmbits {

using StepsLoader = std::function<torch::jit::Module()>;  // a module with a method step(ids, state)

// What the predictors of one module share.
class TorchPredictors {
 public:
  // `head` may be null: then the module's own `head`, or at level 0 forward alone, gives the logits. `load_steps` may be
  // empty: then there is no kStep. All must outlive this and what it makes.
  TorchPredictors(const ModelGraph& module, const WeightHead* head, std::int64_t vocab_size,
                  std::int64_t context_length, StepsLoader load_steps);

  // As LanguageModel::predictor; `where` names the model.
  std::unique_ptr<Predictor> make(const std::string& where, std::optional<Decoding> wanted) const;

 private:
  friend class TorchPredictor;
  friend class StepPredictor;
  using UseRow = std::function<void(std::int64_t i, const float* logits)>;

  bool proves_itself(std::int64_t context_length);
  void prove_steps(const std::string& where) const;
  void logits(const at::Tensor& rows, const UseRow& use) const;  // of hidden rows [R,D]

  const ModelGraph& module_;
  const WeightHead* head_;
  std::int64_t vocab_size_, context_length_;
  StepsLoader load_steps_;
  mutable std::once_flag steps_once_;
  mutable std::optional<torch::jit::Module> steps_;  // calling a method is not const, but safe from several threads
  std::int64_t n_caches_ = 0;
  std::int64_t cache_bytes_per_position_ = 0;
  mutable std::optional<torch::jit::GraphExecutor> step_;  // run() is not const, but safe from several threads
};

}  // namespace lmbits
