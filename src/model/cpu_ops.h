// The kernels of kernels/ as TorchScript operators, for float32 graphs on a CPU. src/model/fuse.cc puts them in place.
//
//   lmbits::linear(Tensor x, Tensor packed, Tensor? residual, int n_in, int n_out, bool gated, float? norm_eps,
//       Tensor? bias) -> Tensor: bias [n_out] is added last; the dtype of `packed` (float32, bfloat16, int8) says its format
//   lmbits::causal_attention(Tensor q, Tensor k, Tensor v, float? scale, Tensor? rows, Tensor? cos, Tensor? sin,
//       Tensor? branches) -> Tensor: where rows [R] of the flattened [B * T] are given, the positions of a sequence before
//       the first of them are left undefined; with cos and sin, of q and k rotated as rotate_heads rotates their transposes
//       [B,T,H,S]
//   lmbits::cached_attention(Tensor q, Tensor k, Tensor v, float? scale, Tensor positions, Tensor slots, Tensor limits,
//       Tensor cache, Tensor? cos, Tensor? sin) -> Tensor: row r of q, k, v [1,H,R,S] is at positions[r] of the stream in
//       slots[r], cos[r] and sin[r] are its angles; cache as in src/model/step_graph.h
//   lmbits::rotate_heads(Tensor x, Tensor cos, Tensor sin, Tensor? branches) -> Tensor
//       In this and causal_attention, branches [K,4] are those of Batch: (sequence, begin, end, trunk) each.
//   lmbits::rms_norm(Tensor x, Tensor gain, float eps) -> Tensor
//   lmbits::select_rows(Tensor x, Tensor rows, Tensor ids) -> Tensor: rows [R] of x, which is [B,T,D] as ids is [B,T], or
//       broadcasts to it, flattened to [B * T, D]
//
// What a kernel does not take (another dtype, a broadcast) goes to the ATen operators it stands for, where there are
// such; linear throws.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "kernels/linear.h"

namespace lmbits {

// Makes the operators known to TorchScript; once a process is enough, more does no harm.
void register_cpu_ops();

// A weight as lmbits::linear wants it, for this machine. weight [n_out or 2 n_out, n_in], gain [n_in] or undefined.
at::Tensor pack_weight(const kernels::Linear& map, const at::Tensor& weight, const at::Tensor& gain);

// lmbits::linear without a residual: x [..., n_in], `packed` by pack_weight for the same map.
at::Tensor apply_linear(const kernels::Linear& map, const at::Tensor& packed, const at::Tensor& x);

}  // namespace lmbits
