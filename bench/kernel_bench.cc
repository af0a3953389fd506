// Our CPU kernels beside libtorch's operators on the same tensors: one thread, CPU time, medians of interleaved rounds.
//
// usage: kernel_bench [--repeats N]
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <cstring>

#include "bench/bench.h"
#include "kernels/attention.h"
#include "kernels/linear.h"
#include "src/model/cpu_ops.h"
#include "src/model/load.h"

namespace lmbits::bench {
namespace {

struct Case {
  std::string name;
  double flop;
  std::function<at::Tensor()> theirs, ours;
};

constexpr std::int64_t kRows = 2048;

Case linear_case(std::int64_t n_in, std::int64_t n_out, bool normed, bool gated) {
  kernels::Linear map{.n_in = n_in, .n_out = n_out, .gated = gated};
  if (normed) map.norm_eps = 1e-5F;
  const at::Tensor x = at::randn({kRows, n_in}), gain = at::ones({n_in});
  const at::Tensor w = at::randn({gated ? 2 * n_out : n_out, n_in}) / std::sqrt(double(n_in));
  const at::Tensor packed = pack_weight(map, w, normed ? gain : at::Tensor());
  const std::string name = std::string(normed ? "norm, " : "") + std::to_string(n_in) + " -> " + std::to_string(n_out) +
                           (gated ? ", gate" : "");
  return {name, 2.0 * double(kRows) * double(w.numel()),
          [=] {
            const at::Tensor u = at::linear(normed ? at::rms_norm(x, {n_in}, gain, 1e-5) : x, w);
            return gated ? at::silu(u.slice(1, 0, n_out)) * u.slice(1, n_out) : u;
          },
          [=] {
            at::Tensor y = at::empty({kRows, n_out});
            kernels::linear(kernels::best_isa(), map, packed.const_data_ptr<float>(), x.const_data_ptr<float>(), kRows,
                            nullptr, y.data_ptr<float>());
            return y;
          }};
}

Case attention_case(std::int64_t n_positions, std::int64_t n_heads, std::int64_t head_size) {
  const std::int64_t n_sequences = std::max<std::int64_t>(1, kRows / n_positions);
  const at::Tensor qkv = at::randn({n_sequences, n_positions, 3, n_heads, head_size}).permute({2, 0, 3, 1, 4});
  const kernels::AttentionShape shape{n_sequences, n_heads,   n_heads,
                                      n_positions, head_size, float(1.0 / std::sqrt(double(head_size)))};
  const auto view = [](const at::Tensor& x) {
    return kernels::HeadsView<const float>{x.const_data_ptr<float>(), x.stride(0), x.stride(1), x.stride(2)};
  };
  return {"causal attention, T = " + std::to_string(n_positions) + ", " + std::to_string(n_heads) + " x " +
              std::to_string(head_size),
          4.0 * double(n_sequences * n_heads * head_size) * double(n_positions) * double(n_positions + 1) / 2,
          [=] { return at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], {}, 0.0, true); },
          [=] {
            const at::Tensor out = at::empty({n_sequences, n_positions, n_heads, head_size}).transpose(1, 2);
            const at::Tensor workspace = at::empty({kernels::attention_workspace(kernels::best_isa(), shape)});
            kernels::causal_attention(kernels::best_isa(), shape, view(qkv[0]), view(qkv[1]), view(qkv[2]),
                                      {out.data_ptr<float>(), out.stride(0), out.stride(1), out.stride(2)},
                                      workspace.data_ptr<float>());
            return out;
          }};
}

// The head of a large vocabulary, a tile of its weight at a time (src/model/head_nll.cc): ours pack it for each call.
Case head_case(std::int64_t n_rows) {
  constexpr std::int64_t kHidden = 576, kVocab = 49152, kTile = 2048;
  const at::Tensor x = at::randn({n_rows, kHidden}), w = at::randn({kVocab, kHidden}) / std::sqrt(double(kHidden));
  const kernels::Linear map{.n_in = kHidden, .n_out = kTile};
  const at::Tensor packed = at::empty({kernels::packed_bytes(kernels::best_isa(), map) / 4});
  const auto by_tiles = [=](const auto& multiply) {  // multiply(tile of w, logits [R, kTile])
    const at::Tensor logits = at::empty({n_rows, kTile}), sums = at::zeros({n_rows});
    for (std::int64_t first = 0; first < kVocab; first += kTile) {
      multiply(w.slice(0, first, first + kTile), logits);
      sums.add_(logits.select(1, (first / kTile) % kTile));  // a column of each tile, to compare
    }
    return sums;
  };
  return {std::to_string(kHidden) + " -> " + std::to_string(kVocab) + ", " + std::to_string(n_rows) +
              " rows, packed each time",
          2.0 * double(n_rows) * double(w.numel()),
          [=] { return by_tiles([&](const at::Tensor& tile, at::Tensor logits) { at::mm_out(logits, x, tile.t()); }); },
          [=] {
            return by_tiles([&](const at::Tensor& tile, const at::Tensor& logits) {
              kernels::pack_linear(kernels::best_isa(), map, tile.const_data_ptr<float>(), nullptr,
                                   packed.data_ptr<float>());
              kernels::linear(kernels::best_isa(), map, packed.const_data_ptr<float>(), x.const_data_ptr<float>(),
                              n_rows, nullptr, logits.data_ptr<float>());
            });
          }};
}

double rate(const Case& c, const std::function<at::Tensor()>& work) {
  const int n = std::max(1, int(5e8 / c.flop));
  return c.flop * n / cpu_s([&] {
           for (int i = 0; i < n; ++i) work();
         });
}

int run(int argc, char** argv) {
  const int repeats = argc > 2 && std::strcmp(argv[1], "--repeats") == 0 ? std::atoi(argv[2]) : 5;
  prepare_torch();
  const c10::InferenceMode inference;
  const at::Tensor square = at::randn({2048, 2048});
  std::vector<Case> cases = {{"torch.mm 2048^3", 2.0 * 2048 * 2048 * 2048, [=] { return at::mm(square, square); },
                              [=] { return at::mm(square, square); }},
                             linear_case(32, 96, true, false),
                             linear_case(32, 96, true, true),
                             linear_case(64, 192, true, false),
                             linear_case(64, 176, true, true),
                             linear_case(192, 576, true, false),
                             linear_case(192, 512, true, true),
                             linear_case(512, 192, false, false),
                             linear_case(576, 960, true, false),
                             linear_case(576, 1536, true, true),
                             linear_case(1536, 576, false, false),
                             head_case(1),
                             head_case(16),
                             head_case(64),
                             head_case(1024),
                             attention_case(512, 2, 16),
                             attention_case(512, 2, 32),
                             attention_case(512, 3, 64),
                             attention_case(2048, 9, 64)};
  std::printf("%s, %lld rows\n%-40s %10s %10s %7s\n", kernels::isa_name(kernels::best_isa()), (long long)kRows,
              "GFLOP/s", "libtorch", "ours", "ratio");
  for (const Case& c : cases) {
    const at::Tensor expected = c.theirs(), got = c.ours();
    const double error = (got - expected).norm().item<double>() / expected.norm().item<double>();
    if (!(error < 1e-5)) {
      std::printf("%s: wrong by %g\n", c.name.c_str(), error);
      return 1;
    }
    Rates theirs, ours;
    for (int i = 0; i < repeats; ++i) {
      theirs.add(rate(c, c.theirs), 1);
      ours.add(rate(c, c.ours), 1);
    }
    std::printf("%-40s %10.1f %10.1f %7.2f\n", c.name.c_str(), theirs.middle() / 1e9, ours.middle() / 1e9,
                ours.middle() / theirs.middle());
  }
  return 0;
}

}  // namespace
}  // namespace lmbits::bench

int main(int argc, char** argv) { return lmbits::bench::run(argc, argv); }
