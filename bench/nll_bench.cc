// Bits from logits, beside libtorch's log_softmax + gather and a plain read of the same memory; on a GPU, where there is one,
// also beside a copy. Answers are checked before anything is timed.
//
// usage: nll_bench [--repeats N] [--rows R] [--columns V]
#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include "bench/bench.h"
#include "kernels/nll.h"
#include "kernels/nll_rows.h"
#include "src/model/device.h"
#include "src/model/load.h"

namespace lmbits::bench {
namespace {

// Adds up the memory in as many chains as hide the latency: nothing can go through it faster on one thread.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
float read_all(const float* x, std::int64_t n) {
  typedef float Vector __attribute__((vector_size(64)));
  Vector sums[8] = {};
  for (std::int64_t i = 0; i + 128 <= n; i += 128) {
    for (int k = 0; k < 8; ++k) {
      Vector v;
      std::memcpy(&v, x + i + 16 * k, sizeof v);
      sums[k] += v;
    }
  }
  float total = 0;
  for (const Vector& s : sums) {
    for (int k = 0; k < 16; ++k) total += s[k];
  }
  return total;
}

void print(const char* name, const std::vector<double>& seconds, double bytes, double base_s) {
  const auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
  const double middle = median(seconds);
  std::printf("  %-34s %8.2f ms [%.2f, %.2f]  %6.2f GB/s  %.2f of the read\n", name, 1e3 * middle, 1e3 * *least,
              1e3 * *most, 1e-9 * bytes / middle, middle / base_s);
}

void on_the_cpu(int repeats, std::int64_t n_rows, std::int64_t n_cols) {
  const at::Tensor logits = at::randn({n_rows, n_cols}) * 3;
  const at::Tensor targets = at::randint(n_cols, {n_rows, 1}, at::kLong), narrow = targets.to(at::kInt).flatten();
  std::vector<kernels::NllState> states(static_cast<std::size_t>(n_rows));
  std::vector<double> bits(states.size());
  const auto ours = [&] {
    kernels::nll_init(states.data(), n_rows);
    kernels::nll_update(logits.const_data_ptr<float>(), narrow.const_data_ptr<std::int32_t>(), states.data(),
                        {.n_rows = n_rows, .n_cols = n_cols, .stride = n_cols, .first_col = 0});
    kernels::nll_finish(states.data(), bits.data(), n_rows);
  };
  at::Tensor theirs;
  const auto torch = [&] { theirs = at::log_softmax(logits, 1).gather(1, targets); };
  volatile float sink = 0;
  const auto read = [&] { sink = read_all(logits.const_data_ptr<float>(), logits.numel()); };
  ours();
  torch();
  for (std::int64_t i = 0; i < n_rows; ++i) {
    const double expected = -theirs[i][0].item<double>() / std::log(2.0);
    if (std::fabs(bits[static_cast<std::size_t>(i)] - expected) > 1e-4 * (1 + expected)) {
      std::fprintf(stderr, "row %ld: %f bits, libtorch %f\n", static_cast<long>(i), bits[static_cast<std::size_t>(i)],
                   expected);
      std::exit(1);
    }
  }
  std::vector<double> ours_s, torch_s, read_s;
  for (int round = 0; round <= repeats; ++round) {
    const double r = cpu_s(read), o = cpu_s(ours), t = cpu_s(torch);
    if (round == 0) continue;  // warms up
    read_s.push_back(r), ours_s.push_back(o), torch_s.push_back(t);
  }
  const double bytes = 4.0 * static_cast<double>(logits.numel()), base = median(read_s);
  std::printf("[%ld, %ld] float32 on one thread (%s), CPU time, medians of %d rounds\n", static_cast<long>(n_rows),
              static_cast<long>(n_cols), kernels::nll_isa(), repeats);
  print("a plain read", read_s, bytes, base);
  print("nll_update", ours_s, bytes, base);
  print("log_softmax + gather", torch_s, bytes, base);
  std::printf("  log_softmax + gather takes %.2f times as long as nll_update\n", median(torch_s) / median(ours_s));
}

// ---- a GPU

double wall_s(const at::Tensor& fence, int times, const std::function<void()>& work) {
  const auto wait = [&] { fence.sum().item<float>(); };
  wait();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) work();
  wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / times;
}

void on_a_gpu(int repeats) {
  if (const auto why = why_no_cuda_device()) {
    std::printf("no GPU rows: %s\n", why->c_str());
    return;
  }
  std::printf("%s\n", open_cuda_devices("cuda")[0]->description().c_str());
  const auto cuda = at::TensorOptions().device(at::kCUDA, 0);
  const at::Tensor fence = at::zeros({1}, cuda);
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf, at::kFloat}) {
    for (const std::int64_t n_cols : {32000, 50257, 128256, 151936, 256000}) {
      const std::int64_t n_rows = 4096;
      const at::Tensor logits = (at::randn({n_rows, n_cols}, cuda) * 3).to(type);
      const at::Tensor copy = at::empty_like(logits);
      const at::Tensor targets = at::randint(n_cols, {n_rows}, cuda.dtype(at::kLong)), narrow = targets.to(at::kInt);
      const at::Tensor bits = at::empty({n_rows}, cuda);
      const kernels::LogitType kind = type == at::kFloat      ? kernels::LogitType::kFloat32
                                      : type == at::kBFloat16 ? kernels::LogitType::kBFloat16
                                                              : kernels::LogitType::kFloat16;
      const kernels::NllRows in{
          logits.data_ptr(), kind, nullptr, narrow.data_ptr<std::int32_t>(), n_rows, n_cols, n_cols, 0, 1.0F, 0.0F};
      const auto ours = [&] {
        kernels::nll_rows(in, {bits.data_ptr<float>(), nullptr, nullptr, nullptr, nullptr}, nullptr);
      };
      ours();
      const at::Tensor expected = at::cross_entropy_loss(logits.to(at::kFloat), targets, {}, 0) / std::log(2.0);
      if (!at::allclose(bits, expected, 1e-4, 1e-4)) {
        std::fprintf(stderr, "V = %ld: bits differ from cross_entropy's\n", static_cast<long>(n_cols));
        std::exit(1);
      }
      std::vector<double> ours_s, copy_s, gather_s, entropy_s;
      for (int round = 0; round <= repeats; ++round) {
        const double c = wall_s(fence, 20, [&] { copy.copy_(logits); });
        const double o = wall_s(fence, 20, ours);
        const double g = wall_s(fence, 2, [&] {
          const at::Tensor wide = logits.to(at::kFloat);
          at::log_softmax(wide, 1).gather(1, targets.unsqueeze(1));
        });
        const double e = wall_s(fence, 5, [&] { at::cross_entropy_loss(logits, targets, {}, 0); });
        if (round == 0) continue;
        copy_s.push_back(c), ours_s.push_back(o), gather_s.push_back(g), entropy_s.push_back(e);
      }
      const double bytes = static_cast<double>(logits.nbytes()), read = bytes / median(ours_s);
      std::printf(
          "%-9s V = %6ld  %7.0f GB/s, %.3f of a copy's; log_softmax + gather %.1f, cross_entropy %.1f times as long\n",
          toString(type), static_cast<long>(n_cols), 1e-9 * read, read / (2 * bytes / median(copy_s)),
          median(gather_s) / median(ours_s), median(entropy_s) / median(ours_s));
    }
  }
}

int run(int argc, char** argv) {
  int repeats = 9;
  std::int64_t n_rows = 512, n_cols = 50257;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--repeats") repeats = std::atoi(argv[i + 1]);
    if (flag == "--rows") n_rows = std::atoll(argv[i + 1]);
    if (flag == "--columns") n_cols = std::atoll(argv[i + 1]);
  }
  const c10::InferenceMode inference;
  prepare_torch();
  on_the_cpu(repeats, n_rows, n_cols);
  on_a_gpu(repeats);
  return 0;
}

}  // namespace
}  // namespace lmbits::bench

int main(int argc, char** argv) { return lmbits::bench::run(argc, argv); }
