#include "src/model/head_nll.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "kernels/nll.h"
#include "src/core/error.h"

namespace lmbits {
namespace {

constexpr std::int64_t kTileColumns = 2048;  // a tile's row (8 KiB) is read twice, from the first-level cache
constexpr std::int64_t kRowStep = 64;        // rows come in whole steps, so that a product's shape varies little

std::int64_t round_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

}  // namespace

void head_weight_bits(const at::Tensor& h, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                      const std::vector<std::int32_t>& targets, const HeadOptions& options, std::vector<double>& bits) {
  const std::int64_t n = h.size(0);
  const std::int64_t vocab = options.vocab_size;
  const std::int64_t n_cols = std::min(vocab, kTileColumns);
  const std::int64_t n_rows =
      std::min(round_up(n, kRowStep), std::max(kRowStep, options.tile_bytes / (4 * n_cols) / kRowStep * kRowStep));
  bits.resize(static_cast<std::size_t>(n));
  std::vector<kernels::NllState> state(static_cast<std::size_t>(n_rows));
  at::Tensor tile = at::empty({n_rows, n_cols}, weight.options());
  for (std::int64_t row = 0; row < n; row += n_rows) {
    const std::int64_t here = std::min(n_rows, n - row);
    const std::int64_t padded = round_up(here, kRowStep);
    at::Tensor rows = h.slice(0, row, row + here).to(at::kFloat);
    if (padded > here) rows = at::constant_pad_nd(rows, {0, 0, 0, padded - here}, 0);
    kernels::nll_init(state.data(), here);
    for (std::int64_t col = 0; col < vocab; col += n_cols) {
      const std::int64_t width = std::min(n_cols, vocab - col);
      at::Tensor logits = tile.flatten().slice(0, 0, padded * width).view({padded, width});
      at::mm_out(logits, rows, weight.slice(0, col, col + width).t());
      if (bias) logits.add_(bias->slice(0, col, col + width));
      if (options.logit_scale) logits.mul_(*options.logit_scale);
      if (options.softcap) logits.div_(*options.softcap).tanh_().mul_(*options.softcap);
      kernels::nll_update(logits.data_ptr<float>(), targets.data() + row, state.data(),
                          {.n_rows = here, .n_cols = width, .stride = width, .first_col = col});
    }
    kernels::nll_finish(state.data(), bits.data() + row, here);
  }
}

void logit_bits(const std::function<at::Tensor(std::int64_t first, std::int64_t n)>& logits,
                const std::vector<std::int32_t>& targets, const HeadOptions& options, std::vector<double>& bits) {
  const auto n = static_cast<std::int64_t>(targets.size());
  const std::int64_t n_rows = std::max(kRowStep, options.tile_bytes / (4 * options.vocab_size) / kRowStep * kRowStep);
  bits.resize(targets.size());
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
    kernels::nll_finish(state.data(), bits.data() + row, here);
  }
}

}  // namespace lmbits
