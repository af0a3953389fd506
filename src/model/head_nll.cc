#include "src/model/head_nll.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "kernels/head.h"
#include "kernels/nll.h"
#include "src/core/error.h"
#include "src/model/cpu_ops.h"

namespace lmbits {
namespace {

constexpr std::int64_t kTileColumns = 2048;      // a tile's row (8 KiB) is read twice, from the first-level cache
constexpr std::int64_t kRowStep = 48;            // rows come in whole steps, so that a product's shape varies little
constexpr std::int64_t kPackedBytes = 16 << 20;  // a weight up to this size is packed, and held twice

std::int64_t round_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

void finish(const std::vector<kernels::NllState>& state, std::int64_t row, std::int64_t n, std::vector<double>& bits,
            std::vector<std::uint8_t>* most_probable) {
  kernels::nll_finish(state.data(), bits.data() + row, n);
  if (most_probable == nullptr) return;
  for (std::int64_t i = 0; i < n; ++i) {
    const kernels::NllState& s = state[static_cast<std::size_t>(i)];
    (*most_probable)[static_cast<std::size_t>(row + i)] = s.target >= s.max;  // false where either is NaN
  }
}

// rows [R,D] times columns of a weight [V,D] too large to be held twice: a tile of it is packed for our kernels, each time.
// With SmolLM2-135M's [49152,576] that takes 3.1 times as long as at::mm for 1 row, 1.4 for 16, 1.25 for 64, 1.02 for 1024
// (bench/kernel_bench), and no other way for few rows: so a row's logits depend on that row alone.
class TileProduct {
 public:
  TileProduct(const at::Tensor& weight, std::int64_t n_cols) : weight_(weight) {
    const kernels::Linear map{.n_in = weight.size(1), .n_out = n_cols};
    if (vectors()) packed_ = at::empty({kernels::packed_bytes(kernels::best_isa(), map) / 4}, weight.options());
  }

  // The rows as multiply() wants them, zeros behind them where libtorch multiplies.
  at::Tensor take(const at::Tensor& rows) const {
    const std::int64_t padding = round_up(rows.size(0), kRowStep) - rows.size(0);
    return vectors() || padding == 0 ? rows : at::constant_pad_nd(rows, {0, 0, 0, padding}, 0);
  }

  // logits [R,C] of columns [first, first + C)
  void multiply(const at::Tensor& rows, std::int64_t first, at::Tensor& logits) const {
    const at::Tensor columns = weight_.slice(0, first, first + logits.size(1));
    if (!vectors()) {
      at::mm_out(logits, rows, columns.t());
      return;
    }
    const kernels::Linear map{.n_in = rows.size(1), .n_out = logits.size(1)};
    kernels::pack_linear(kernels::best_isa(), map, columns.const_data_ptr<float>(), nullptr, packed_.data_ptr<float>());
    kernels::linear(kernels::best_isa(), map, packed_.const_data_ptr<float>(), rows.const_data_ptr<float>(),
                    rows.size(0), nullptr, logits.data_ptr<float>());
  }

 private:
  static bool vectors() { return kernels::best_isa() != kernels::Isa::kScalar; }

  const at::Tensor& weight_;
  at::Tensor packed_;
};

}  // namespace

WeightHead::WeightHead(at::Tensor weight, std::optional<at::Tensor> bias, const HeadOptions& options)
    : weight_(std::move(weight)), bias_(std::move(bias)), options_(options) {
  const bool plain = !bias_ && !options_.logit_scale && !options_.softcap;
  if (plain && kernels::best_isa() != kernels::Isa::kScalar && weight_.numel() * 4 <= kPackedBytes)
    packed_ = pack_weight({.n_in = weight_.size(1), .n_out = options_.vocab_size}, weight_, {});
}

void WeightHead::adjust(at::Tensor& logits, std::int64_t first_column) const {
  if (bias_) logits.add_(bias_->slice(0, first_column, first_column + logits.size(1)));
  if (options_.logit_scale) logits.mul_(*options_.logit_scale);
  if (options_.softcap) logits.div_(*options_.softcap).tanh_().mul_(*options_.softcap);
}

void WeightHead::rows(const at::Tensor& h, const std::function<void(std::int64_t i, const float* logits)>& use) const {
  const kernels::Linear map{.n_in = weight_.size(1), .n_out = options_.vocab_size};
  std::call_once(packed_once_, [&] { packed_for_rows_ = packed_.defined() ? packed_ : pack_weight(map, weight_, {}); });
  const at::Tensor dense = h.to(at::kFloat).contiguous();
  const std::int64_t n = dense.size(0), n_rows = std::min(n, kRowStep);
  const at::Tensor tile = at::empty({n_rows, map.n_out}, dense.options());
  for (std::int64_t row = 0; row < n; row += n_rows) {
    const std::int64_t here = std::min(n_rows, n - row);
    at::Tensor logits = tile.slice(0, 0, here);
    kernels::linear(kernels::best_isa(), map, packed_for_rows_.const_data_ptr<float>(),
                    dense.const_data_ptr<float>() + row * map.n_in, here, nullptr, logits.data_ptr<float>());
    for (std::int64_t i = 0; i < here; ++i) {
      at::Tensor one = logits.slice(0, i, i + 1);  // tanh splits what it is given into vectors and a rest
      adjust(one, 0);
      use(row + i, one.const_data_ptr<float>());
    }
  }
}

void WeightHead::score(const at::Tensor& h, const std::vector<std::int32_t>& targets, std::vector<double>& bits,
                       std::vector<std::uint8_t>* most_probable) const {
  const std::int64_t n = h.size(0), n_in = weight_.size(1), vocab = options_.vocab_size;
  const std::int64_t n_cols = std::min(vocab, kTileColumns);
  const std::int64_t n_rows =
      std::min(round_up(n, kRowStep), std::max(kRowStep, options_.tile_bytes / (4 * n_cols) / kRowStep * kRowStep));
  bits.resize(static_cast<std::size_t>(n));
  if (most_probable != nullptr) most_probable->resize(bits.size());
  if (packed_.defined()) {
    std::vector<kernels::NllState> state(bits.size());
    kernels::head_nll(kernels::best_isa(), {.n_in = n_in, .n_out = vocab}, packed_.const_data_ptr<float>(),
                      h.to(at::kFloat).contiguous().const_data_ptr<float>(), n, targets.data(), state.data());
    return finish(state, 0, n, bits, most_probable);
  }
  std::vector<kernels::NllState> state(static_cast<std::size_t>(n_rows));
  at::Tensor tile = at::empty({n_rows, n_cols}, weight_.options());
  const TileProduct product(weight_, n_cols);
  for (std::int64_t row = 0; row < n; row += n_rows) {
    const std::int64_t here = std::min(n_rows, n - row);
    const at::Tensor rows = product.take(h.slice(0, row, row + here).to(at::kFloat).contiguous());
    kernels::nll_init(state.data(), here);
    for (std::int64_t col = 0; col < vocab; col += n_cols) {
      const std::int64_t width = std::min(n_cols, vocab - col);
      at::Tensor logits = tile.flatten().slice(0, 0, rows.size(0) * width).view({rows.size(0), width});
      product.multiply(rows, col, logits);
      adjust(logits, col);
      kernels::nll_update(logits.data_ptr<float>(), targets.data() + row, state.data(),
                          {.n_rows = here, .n_cols = width, .stride = width, .first_col = col});
    }
    finish(state, row, here, bits, most_probable);
  }
}

void logit_bits(const std::function<at::Tensor(std::int64_t first, std::int64_t n)>& logits,
                const std::vector<std::int32_t>& targets, const HeadOptions& options, std::vector<double>& bits,
                std::vector<std::uint8_t>* most_probable) {
  const auto n = static_cast<std::int64_t>(targets.size());
  const std::int64_t n_rows = std::max(kRowStep, options.tile_bytes / (4 * options.vocab_size) / kRowStep * kRowStep);
  bits.resize(targets.size());
  if (most_probable != nullptr) most_probable->resize(bits.size());
  std::vector<kernels::NllState> state(static_cast<std::size_t>(std::min(n, n_rows)));
  for (std::int64_t row = 0; row < n; row += n_rows) {
    const std::int64_t here = std::min(n_rows, n - row);
    const at::Tensor rows = logits(row, here).to(at::kFloat).contiguous();
    if (rows.dim() != 2 || rows.size(0) != here || rows.size(1) < options.vocab_size) {
      throw Error(ErrorKind::kModel, "the head returned " + c10::str(rows.sizes()) + " for " + std::to_string(here) +
                                         " rows and a vocabulary of " + std::to_string(options.vocab_size));
    }
    kernels::nll_init(state.data(), here);
    kernels::nll_update(rows.data_ptr<float>(), targets.data() + row, state.data(),
                        {.n_rows = here, .n_cols = options.vocab_size, .stride = rows.size(1), .first_col = 0});
    finish(state, row, here, bits, most_probable);
  }
}

}  // namespace lmbits
