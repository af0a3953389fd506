// What a graph makes of the shape of ids alone, tables of positions above all: computed once a shape, not once a batch.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace lmbits {

class ShapeTables {
 public:
  // Takes those tensors out of `graph` (ids [B,T], ...), which gets them as further inputs, behind its own. nullptr where
  // there are none, or where the graph writes to tensors in place.
  static std::unique_ptr<ShapeTables> take_out_of(const std::shared_ptr<torch::jit::Graph>& graph);

  // Puts the tensors for ids of this shape behind the other arguments. From any thread.
  void append(const at::Tensor& ids, std::vector<c10::IValue>& arguments);

 private:
  explicit ShapeTables(const std::shared_ptr<torch::jit::Graph>& graph) : tables_(graph, "tables") {}

  std::mutex mutex_;  // guards what follows
  torch::jit::GraphExecutor tables_;
  std::map<std::vector<std::int64_t>, std::vector<c10::IValue>> by_shape_;
  std::int64_t n_bytes_ = 0;  // of all in by_shape_
};

}  // namespace lmbits
