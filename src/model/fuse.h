// Puts our kernels (cpu_ops.h) in the place of ATen's operators in a frozen TorchScript graph.
//
// What is recognised, and what becomes of it:
//   [rms_norm ->] linear(x, W [, bias]) [-> + residual]                                lmbits::linear
//   [rms_norm ->] linear(x, W) [-> silu(first half) * second half] [-> + residual]     lmbits::linear
//   [rms_norm ->] silu(linear(x, W)) * linear(x, V) [-> + residual]                    lmbits::linear
//   the same of embedding(W2, ids), without a residual, up to 8 MiB                     embedding(the map of W2, ids)
//   scaled_dot_product_attention(q, k, v, is_causal), no mask, no dropout               lmbits::causal_attention
//   cat(a cos - b sin, b cos + a sin), a and b the halves of x                          lmbits::rotate_heads
//   the latter of q and k before attention, each heads of the transposed result           in lmbits::causal_attention
//   rms_norm(x, gain) that is not followed by such linears alone                        lmbits::rms_norm
// W, V, bias, gain and eps must be constants of the graph. All else stays as it is.
#pragma once
#include <torch/csrc/jit/ir/ir.h>

#include "kernels/linear.h"

namespace lmbits {

// `format`: how the weights of the linear maps are kept; anything but float32 rounds them, so that the graph then computes
// something else. Returns how many operators were put in, or how many linear maps were rounded; 0 where the graph writes to tensors in place or holds weights of another dtype
// than float32, or where this machine has no vector instructions worth it. The graph computes the same up to rounding.
int fuse_cpu_kernels(const std::shared_ptr<torch::jit::Graph>& graph, kernels::WeightFormat format);

// Does anything in the block change a tensor that something else may see?
bool writes_in_place(torch::jit::Block* block);

// Gives a graph (ids) -> [B,T,D] two more inputs. int64 rows [R] of the flattened [B * T, D]: it returns [R,D] then, and what
// follows the last operator that mixes positions is computed for those rows alone. int64 branches [K,4] (see Batch), which
// attention and rotation heed. Call it after fuse_cpu_kernels.
void add_inputs(const std::shared_ptr<torch::jit::Graph>& graph);

}  // namespace lmbits
