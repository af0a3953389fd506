#include "src/model/cpu_ops.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/jit/runtime/custom_operator.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention.h"
#include "kernels/rows.h"
#include "src/model/batch.h"

namespace lmbits {
namespace {

bool dense_float(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat && (x.dim() == 0 || x.stride(-1) == 1 || x.size(-1) == 1);
}

c10::ScalarType scalar_type(kernels::WeightFormat format) {
  return format == kernels::WeightFormat::kBFloat16 ? at::kBFloat16
         : format == kernels::WeightFormat::kInt8   ? at::kChar
                                                    : at::kFloat;
}

kernels::WeightFormat format_of(const at::Tensor& packed) {
  return packed.scalar_type() == at::kBFloat16 ? kernels::WeightFormat::kBFloat16
         : packed.scalar_type() == at::kChar   ? kernels::WeightFormat::kInt8
                                               : kernels::WeightFormat::kFloat32;
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& packed, const std::optional<at::Tensor>& residual,
                  const kernels::Linear& map, const std::optional<at::Tensor>& bias) {
  TORCH_CHECK(x.scalar_type() == at::kFloat && x.dim() > 0 && x.size(-1) == map.n_in, "linear: x is ", x.scalar_type(),
              " ", x.sizes(), ", the weight takes float32 rows of ", map.n_in);
  const at::Tensor rows = x.contiguous();
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = map.n_out;
  const bool same_shape = residual && residual->sizes() == shape && residual->scalar_type() == at::kFloat;
  const at::Tensor added = same_shape ? residual->contiguous() : at::Tensor();
  at::Tensor y = at::empty(shape, x.options());
  kernels::linear(kernels::best_isa(), map, packed.const_data_ptr(), rows.const_data_ptr<float>(),
                  rows.numel() / map.n_in, same_shape ? added.const_data_ptr<float>() : nullptr, y.data_ptr<float>());
  if (bias) y.add_(*bias);
  return residual && !same_shape ? *residual + y : y;
}

kernels::HeadsView<const float> view(const at::Tensor& x) {
  return {x.const_data_ptr<float>(), x.stride(0), x.stride(1), x.stride(2)};
}

// Of each sequence, the first position that one of `rows` names; n_positions where none does.
std::vector<std::int64_t> first_rows(const at::Tensor& rows, std::int64_t n_sequences, std::int64_t n_positions) {
  std::vector<std::int64_t> first(static_cast<std::size_t>(n_sequences), n_positions);
  const at::Tensor dense = rows.contiguous();
  const std::int64_t* row = dense.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < dense.numel(); ++i) {
    std::int64_t& least = first.at(static_cast<std::size_t>(row[i] / n_positions));
    least = std::min(least, row[i] % n_positions);
  }
  return first;
}

bool is_table(const at::Tensor& cos, const at::Tensor& sin, std::int64_t n_positions, std::int64_t n) {
  // [T,1,S/2], ones before it allowed.
  std::vector<std::int64_t> sizes = cos.sizes().vec();
  while (sizes.size() > 3 && sizes[0] == 1) sizes.erase(sizes.begin());
  return sizes == std::vector<std::int64_t>{n_positions, 1, n} && cos.sizes() == sin.sizes() &&
         cos.scalar_type() == at::kFloat && sin.scalar_type() == at::kFloat;
}

at::Tensor rotate_heads(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                        const std::vector<Branch>& branches);

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::optional<double> scale,
                            const std::vector<std::int64_t>& first_queries, const std::optional<at::Tensor>& cos,
                            const std::optional<at::Tensor>& sin) {
  const auto fits = [&](const at::Tensor& x) {
    return x.dim() == 4 && dense_float(x) && x.size(0) == q.size(0) && x.size(2) == q.size(2) && x.size(3) == q.size(3);
  };
  const bool rotated = cos && sin;
  const bool fit =
      fits(q) && fits(k) && fits(v) && k.size(1) == v.size(1) && k.size(1) != 0 && q.size(1) % k.size(1) == 0;
  if (rotated && !(fit && q.size(3) % 2 == 0 && is_table(*cos, *sin, q.size(2), q.size(3) / 2))) {
    const auto rotate = [&](const at::Tensor& x) {
      return rotate_heads(x.transpose(1, 2), *cos, *sin, {}).transpose(1, 2);
    };
    return causal_attention(rotate(q), rotate(k), v, scale, first_queries, {}, {});
  }
  if (!fit) {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, true, scale, q.dim() == 4 && q.size(1) != k.size(1));
  }
  const double default_scale = 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const kernels::AttentionShape shape{q.size(0), q.size(1), k.size(1),
                                      q.size(2), q.size(3), static_cast<float>(scale.value_or(default_scale))};
  // [B,T,H,S] in memory: the caller's transpose and reshape to [B,T,D] are then views.
  const at::Tensor out = at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.options()).transpose(1, 2);
  const at::Tensor c = rotated ? cos->contiguous() : at::Tensor(), s = rotated ? sin->contiguous() : at::Tensor();
  const at::Tensor workspace = at::empty({kernels::attention_workspace(kernels::best_isa(), shape)}, q.options());
  kernels::causal_attention(
      kernels::best_isa(), shape, view(q), view(k), view(v),
      {out.data_ptr<float>(), out.stride(0), out.stride(1), out.stride(2)}, workspace.data_ptr<float>(),
      first_queries.empty() ? nullptr : first_queries.data(),
      rotated ? kernels::Rotation{c.const_data_ptr<float>(), s.const_data_ptr<float>()} : kernels::Rotation{});
  return out;
}

// Keys and values of all rows are kept first, so that rows of one stream in the same call see each other.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::optional<double> scale,
                            const at::Tensor& positions, const at::Tensor& slots, const at::Tensor& limits,
                            at::Tensor cache, const std::optional<at::Tensor>& cos,
                            const std::optional<at::Tensor>& sin) {
  if (cos && sin) {
    const auto rotate = [&](const at::Tensor& x) {
      return rotate_heads(x.transpose(1, 2), *cos, *sin, {}).transpose(1, 2);
    };
    return cached_attention(rotate(q), rotate(k), v, scale, positions, slots, limits, cache, {}, {});
  }
  const auto fits = [&](const at::Tensor& x) {
    return x.dim() == 4 && dense_float(x) && x.size(0) == 1 && x.size(2) == positions.numel() && x.size(3) == q.size(3);
  };
  TORCH_CHECK(fits(q) && fits(k) && fits(v) && k.size(1) == v.size(1) && k.size(1) > 0 && q.size(1) % k.size(1) == 0,
              "cached_attention: q ", q.sizes(), ", k ", k.sizes(), ", v ", v.sizes());
  const std::int64_t* limit = limits.const_data_ptr<std::int64_t>();
  const double default_scale = 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const kernels::AttentionShape shape{1,        q.size(1), k.size(1),
                                      limit[1], q.size(3), static_cast<float>(scale.value_or(default_scale))};
  const kernels::Isa isa = kernels::best_isa();
  const std::int64_t size = kernels::attention_cache_size(isa, shape);
  if (cache.numel() != limit[0] * size) {
    cache.resize_({limit[0] * size});
    cache.zero_();
  }
  const std::int64_t* position = positions.const_data_ptr<std::int64_t>();
  const std::int64_t* slot = slots.const_data_ptr<std::int64_t>();
  const std::int64_t n_rows = q.size(2);
  for (std::int64_t r = 0; r < n_rows; ++r) {
    TORCH_CHECK(slot[r] >= 0 && slot[r] < limit[0] && position[r] >= 0 && position[r] < limit[1],
                "cached_attention: no room for position ", position[r], " of stream ", slot[r]);
    kernels::keep_position(isa, shape, cache.data_ptr<float>() + slot[r] * size, position[r],
                           k.const_data_ptr<float>() + r * k.stride(2), k.stride(1),
                           v.const_data_ptr<float>() + r * v.stride(2), v.stride(1));
  }
  const at::Tensor out = at::empty({1, n_rows, q.size(1), q.size(3)}, q.options()).transpose(1, 2);
  const at::Tensor workspace = at::empty({kernels::attention_workspace(isa, shape)}, q.options());
  for (std::int64_t r = 0; r < n_rows; ++r) {
    kernels::attend_kept(isa, shape, cache.const_data_ptr<float>() + slot[r] * size, position[r],
                         q.const_data_ptr<float>() + r * q.stride(2), q.stride(1),
                         out.data_ptr<float>() + r * out.stride(2), out.stride(1), workspace.data_ptr<float>());
  }
  return out;
}

std::vector<Branch> branches_of(const std::optional<at::Tensor>& tensor) {
  std::vector<Branch> branches;
  if (!tensor) return branches;
  const at::Tensor dense = tensor->contiguous();
  const std::int64_t* at = dense.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < dense.size(0); ++i, at += 4) branches.push_back({at[0], at[1], at[2], at[3]});
  return branches;
}

// A branch is a sequence of its own: the trunk's keys and values, then its own. Queries before it are computed for
// nobody, so those that lie before it in memory do. `cos` and `sin`: [T,1,S/2], ones before it allowed, or none.
void attend_branch(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::optional<double> scale,
                   const std::optional<at::Tensor>& cos, const std::optional<at::Tensor>& sin, const Branch& branch,
                   at::Tensor& out) {
  const std::int64_t n = branch.end - branch.begin;
  const auto part = [&](const at::Tensor& x, std::int64_t begin, std::int64_t length) {
    return x.narrow(0, branch.sequence, 1).narrow(2, begin, length);
  };
  const auto with_trunk = [&](const at::Tensor& x) {
    return at::cat({part(x, 0, branch.trunk), part(x, branch.begin, n)}, 2);
  };
  const auto table = [&](const std::optional<at::Tensor>& all) {
    return all ? std::optional(all->narrow(all->dim() - 3, 0, branch.trunk + n)) : std::nullopt;
  };
  const at::Tensor own = causal_attention(part(q, branch.begin - branch.trunk, branch.trunk + n), with_trunk(k),
                                          with_trunk(v), scale, {branch.trunk}, table(cos), table(sin));
  part(out, branch.begin, n).copy_(own.narrow(2, branch.trunk, n));
}

at::Tensor rotate_heads(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                        const std::vector<Branch>& branches) {
  // x [B,T,H,S] with cos [T,1,S/2] (ones before it allowed), or x [B,H,T,S] with cos [T,S/2].
  std::vector<std::int64_t> table = cos.sizes().vec();
  while (table.size() > 2 && table[0] == 1) table.erase(table.begin());
  const std::int64_t n = x.dim() == 4 ? x.size(3) / 2 : -1;
  // Not by `table`: with T = 1 its ones are gone.
  const bool time_first = n >= 0 && is_table(cos, sin, x.size(1), n);
  const bool heads_first = n >= 0 && table == std::vector<std::int64_t>{x.size(2), n};
  if ((!time_first && !heads_first) || x.size(3) % 2 != 0 || !dense_float(x) || cos.sizes() != sin.sizes() ||
      cos.scalar_type() != at::kFloat || sin.scalar_type() != at::kFloat) {
    const std::vector<at::Tensor> half = x.chunk(2, -1);
    return at::cat({half[0] * cos - half[1] * sin, half[1] * cos + half[0] * sin}, -1);
  }
  const at::Tensor y = at::empty(x.sizes(), x.options());
  const at::Tensor from = time_first ? x.transpose(1, 2) : x, to = time_first ? y.transpose(1, 2) : y;
  const at::Tensor c = cos.contiguous(), s = sin.contiguous();
  // Turned by the angles from `first` on.
  const auto rotate = [&](const at::Tensor& x_part, const at::Tensor& y_part, std::int64_t first) {
    kernels::rotate_heads(kernels::best_isa(),
                          {x_part.size(0), x_part.size(1), x_part.size(1), x_part.size(2), x_part.size(3), 1.0F},
                          view(x_part), c.const_data_ptr<float>() + first * n, s.const_data_ptr<float>() + first * n,
                          {y_part.data_ptr<float>(), y_part.stride(0), y_part.stride(1), y_part.stride(2)});
  };
  rotate(from, to, 0);
  for (const Branch& branch : branches) {
    const auto part = [&](const at::Tensor& whole) {
      return whole.narrow(0, branch.sequence, 1).narrow(2, branch.begin, branch.end - branch.begin);
    };
    rotate(part(from), part(to), branch.trunk);
  }
  return y;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double eps) {
  if (x.scalar_type() != at::kFloat || x.dim() == 0) return at::rms_norm(x, gain.sizes(), gain, eps);
  const at::Tensor rows = x.contiguous(), y = at::empty(x.sizes(), x.options());
  kernels::rms_norm(kernels::best_isa(), rows.const_data_ptr<float>(), rows.numel() / gain.numel(), gain.numel(),
                    gain.const_data_ptr<float>(), static_cast<float>(eps), y.data_ptr<float>());
  return y;
}

using torch::jit::Operator;
using torch::jit::pop;
using torch::jit::Stack;

void run_linear(Stack& stack) {
  kernels::Linear map{};
  const auto bias = pop(stack).toOptional<at::Tensor>();
  const auto eps = pop(stack).toOptional<double>();
  if (eps) map.norm_eps = static_cast<float>(*eps);
  map.gated = pop(stack).toBool();
  map.n_out = pop(stack).toInt();
  map.n_in = pop(stack).toInt();
  const auto residual = pop(stack).toOptional<at::Tensor>();
  const at::Tensor packed = pop(stack).toTensor();
  map.format = format_of(packed);
  const at::Tensor x = pop(stack).toTensor();
  stack.emplace_back(linear(x, packed, residual, map, bias));
}

void run_causal_attention(Stack& stack) {
  const auto branches = branches_of(pop(stack).toOptional<at::Tensor>());
  const auto sin = pop(stack).toOptional<at::Tensor>(), cos = pop(stack).toOptional<at::Tensor>();
  const auto rows = pop(stack).toOptional<at::Tensor>();
  const auto scale = pop(stack).toOptional<double>();
  const at::Tensor v = pop(stack).toTensor(), k = pop(stack).toTensor(), q = pop(stack).toTensor();
  std::vector<std::int64_t> first;
  if (rows) first = first_rows(*rows, q.size(0), q.size(2));
  at::Tensor out = causal_attention(q, k, v, scale, first, cos, sin);
  for (const Branch& branch : branches) attend_branch(q, k, v, scale, cos, sin, branch, out);
  stack.emplace_back(out);
}

void run_cached_attention(Stack& stack) {
  const auto sin = pop(stack).toOptional<at::Tensor>(), cos = pop(stack).toOptional<at::Tensor>();
  const at::Tensor cache = pop(stack).toTensor(), limits = pop(stack).toTensor(), slots = pop(stack).toTensor();
  const at::Tensor positions = pop(stack).toTensor();
  const auto scale = pop(stack).toOptional<double>();
  const at::Tensor v = pop(stack).toTensor(), k = pop(stack).toTensor(), q = pop(stack).toTensor();
  stack.emplace_back(cached_attention(q, k, v, scale, positions, slots, limits, cache, cos, sin));
}

void run_rotate_heads(Stack& stack) {
  const auto branches = branches_of(pop(stack).toOptional<at::Tensor>());
  const at::Tensor sin = pop(stack).toTensor(), cos = pop(stack).toTensor(), x = pop(stack).toTensor();
  stack.emplace_back(rotate_heads(x, cos, sin, branches));
}

void run_rms_norm(Stack& stack) {
  const double eps = pop(stack).toDouble();
  const at::Tensor gain = pop(stack).toTensor(), x = pop(stack).toTensor();
  stack.emplace_back(rms_norm(x, gain, eps));
}

void run_select_rows(Stack& stack) {
  const at::Tensor ids = pop(stack).toTensor(), rows = pop(stack).toTensor(), x = pop(stack).toTensor();
  stack.emplace_back(x.expand({ids.size(0), ids.size(1), x.size(-1)}).flatten(0, 1).index_select(0, rows));
}

}  // namespace

void register_cpu_ops() {
  const auto pure = c10::AliasAnalysisKind::PURE_FUNCTION;
  static const torch::jit::RegisterOperators operators({
      Operator("lmbits::linear(Tensor x, Tensor packed, Tensor? residual, int n_in, int n_out, bool gated, float? "
               "norm_eps, Tensor? bias) -> Tensor",
               run_linear, pure),
      Operator(
          "lmbits::causal_attention(Tensor q, Tensor k, Tensor v, float? scale, Tensor? rows, Tensor? cos, Tensor? "
          "sin, Tensor? branches) -> Tensor",
          run_causal_attention, pure),
      Operator("lmbits::cached_attention(Tensor q, Tensor k, Tensor v, float? scale, Tensor positions, Tensor slots, "
               "Tensor limits, Tensor cache, Tensor? cos, Tensor? sin) -> Tensor",
               run_cached_attention, c10::AliasAnalysisKind::CONSERVATIVE),
      Operator("lmbits::rotate_heads(Tensor x, Tensor cos, Tensor sin, Tensor? branches) -> Tensor", run_rotate_heads,
               pure),
      Operator("lmbits::rms_norm(Tensor x, Tensor gain, float eps) -> Tensor", run_rms_norm, pure),
      Operator("lmbits::select_rows(Tensor x, Tensor rows, Tensor ids) -> Tensor", run_select_rows, pure),
  });
}

at::Tensor pack_weight(const kernels::Linear& map, const at::Tensor& weight, const at::Tensor& gain) {
  const at::Tensor dense = weight.contiguous(), dense_gain = gain.defined() ? gain.contiguous() : gain;
  const c10::ScalarType type = scalar_type(map.format);
  const at::Tensor packed =
      at::empty({kernels::packed_bytes(kernels::best_isa(), map) / static_cast<std::int64_t>(c10::elementSize(type))},
                dense.options().dtype(type));
  kernels::pack_linear(kernels::best_isa(), map, dense.const_data_ptr<float>(),
                       gain.defined() ? dense_gain.const_data_ptr<float>() : nullptr, packed.mutable_data_ptr());
  return packed;
}

at::Tensor apply_linear(const kernels::Linear& map, const at::Tensor& packed, const at::Tensor& x) {
  return linear(x, packed, std::nullopt, map, std::nullopt);
}

}  // namespace lmbits
