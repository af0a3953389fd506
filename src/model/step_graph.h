// Turns a fused TorchScript graph that computes whole windows into one that goes on from kept keys and values.
//
// Possible where rows meet in causal attention only: every operator on data is one that treats rows alike and whose
// arithmetic is exact or ours (linear, norm, rotation, views, sums, products), and what depends on the window's length
// depends on nothing else (tables of positions, as rotary embedding has them).
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/ir/ir.h>

#include <cstdint>
#include <memory>
#include <optional>

namespace lmbits {

// Do all operators of the graph treat every row of their input by itself, with the same result wherever it stands?
bool is_row_wise(const torch::jit::Graph& graph);

struct StepGraph {
  // (ids [1,R], positions [R], slots [R], limits [2] = (slots, positions), a cache for each attention) -> [1,R,D]. Row r
  // is ids[r] at positions[r] of the stream in slots[r]; rows of one stream come in ascending positions. The caches are
  // float tensors [0] at first; the graph sizes them, and keeps in them what later calls need.
  std::shared_ptr<torch::jit::Graph> graph;
  std::int64_t n_caches = 0;
};

// `graph` (ids [B,T]) -> [B,T,D] after fuse_cpu_kernels; it is left as it is. n_positions: the longest window. nullopt
// where the above does not hold.
std::optional<StepGraph> make_step_graph(const torch::jit::Graph& graph, std::int64_t n_positions);

}  // namespace lmbits
