// From hidden states to bits: the one bridge between torch and kernels/. [N,V] logits never exist.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace lmbits {

struct HeadOptions {
  std::int64_t vocab_size;                     // columns from here on are padding
  std::int64_t tile_bytes = 8 << 20;           // of fp32 logits alive at a time, at most
  std::optional<double> logit_scale, softcap;  // logits = softcap * tanh(scale * (h w^T + bias) / softcap)
};

// A head that is a weight [V,D] (float32): bits a tile of rows x vocabulary at a time.
class WeightHead {
 public:
  WeightHead(at::Tensor weight, std::optional<at::Tensor> bias, const HeadOptions& options);

  // bits[N] of hidden rows h [N,D]; most_probable[N], where asked for: is no logit above the target's?
  void score(const at::Tensor& h, const std::vector<std::int32_t>& targets, std::vector<double>& bits,
             std::vector<std::uint8_t>* most_probable = nullptr) const;

  // use(i, the logits [vocab_size] of row i of h [N,D]) for every row, in tiles. Bit-equal in any company: the weight is
  // packed on the first call where it was not yet.
  void rows(const at::Tensor& h, const std::function<void(std::int64_t i, const float* logits)>& use) const;

 private:
  void adjust(at::Tensor& logits, std::int64_t first_column) const;  // bias, scale, softcap

  at::Tensor weight_;
  at::Tensor
      packed_;  // for kernels::head_nll; undefined where that is of no use, or the weight too large to be held twice
  mutable at::Tensor packed_for_rows_;  // for kernels::linear
  mutable std::once_flag packed_once_;
  std::optional<at::Tensor> bias_;
  HeadOptions options_;
};

// bits[N] where only whole rows of final logits are to be had: `logits(first, n)` gives rows [first, first + n).
void logit_bits(const std::function<at::Tensor(std::int64_t first, std::int64_t n)>& logits,
                const std::vector<std::int32_t>& targets, const HeadOptions& options, std::vector<double>& bits,
                std::vector<std::uint8_t>* most_probable = nullptr);

}  // namespace lmbits
