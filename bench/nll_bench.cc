// Bits from logits, beside libtorch's log_softmax + gather and a plain read of the same memory; on a GPU, where there is one,
// also beside a copy. The answers are checked.
//
// usage: nll_bench [--repeats N] [--rows R] [--columns V] [--model BUNDLE.pt]
//   --model: on a GPU, also tokens a second of a whole run beside an eager loop (batch 1, full logits, log_softmax)
#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>

#include "bench/bench.h"
#include "kernels/nll.h"
#include "kernels/nll_rows.h"
#include "src/model/device.h"
#include "src/model/load.h"
#include "src/model/torch_module.h"

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

void kernels_on_a_gpu(int repeats) {
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

// The head of a level-2 bundle by tiles of the vocabulary: products and nll_tile_update together.
void tiles_on_a_gpu(int repeats) {
  constexpr std::int64_t kRows = 4096, kHidden = 2048, kColumns = 128256;
  const auto device = std::move(open_cuda_devices("cuda")[0]);
  const auto cuda = at::TensorOptions().device(at::kCUDA, 0);
  const at::Tensor h = at::randn({kRows, kHidden}, cuda).to(at::kBFloat16), fence = at::zeros({1}, cuda);
  const at::Tensor weight = (at::randn({kColumns, kHidden}, cuda) * 0.02).to(at::kBFloat16);
  const at::Tensor targets = at::randint(kColumns, {kRows}, cuda.dtype(at::kInt));
  const at::Tensor states = at::empty({kRows, std::int64_t{sizeof(kernels::NllRowState) / sizeof(float)}}, cuda);
  auto* state = static_cast<kernels::NllRowState*>(states.data_ptr());
  for (const std::int64_t tile : {8192L, 16384L, 32768L, 65536L, kColumns}) {
    const auto work = [&] {
      device->nll_tile_init(state, kRows);
      for (std::int64_t col = 0; col < kColumns; col += tile) {
        const std::int64_t width = std::min(tile, kColumns - col);
        const at::Tensor logits = device->multiply(h, weight.slice(0, col, col + width));
        device->nll_tile_update({logits.data_ptr(), kernels::LogitType::kFloat32, nullptr,
                                 targets.data_ptr<std::int32_t>(), kRows, width, width, col, 1.0F, 0.0F},
                                state);
      }
    };
    std::vector<double> seconds;
    device->run(0, [&] {
      for (int round = 0; round <= repeats; ++round) {
        const double s = wall_s(fence, 3, work);
        if (round > 0) seconds.push_back(s);
      }
    });
    std::printf("tiles of %6ld of %ld columns: %.2f ms for %ld rows, %.1f TFLOP/s\n", static_cast<long>(tile),
                static_cast<long>(kColumns), 1e3 * median(seconds), static_cast<long>(kRows),
                2e-12 * kRows * kHidden * kColumns / median(seconds));
  }
}

// A whole run's way of scoring beside the loop that everybody writes first, in the same dtype on the same ids.
void run_on_a_gpu(int repeats, const std::string& path) {
  const auto model = open_model(parse_model_spec(path), {.device = "cuda"});
  model->load();
  const TorchModule eager(path, model->info().dtype == "float32" ? WeightDtype::kFloat32 : WeightDtype::kAuto,
                          at::Device(at::kCUDA, 0));
  Batch batch;
  batch.n_sequences = 32;
  batch.n_positions = std::min<std::int64_t>(model->info().context_length, 1024);
  for (std::int64_t i = 0; i < batch.n_sequences * batch.n_positions; ++i) {
    batch.ids.push_back((i * 7919 + 17) % model->info().vocab_size);
    batch.rows.push_back(i);
    batch.targets.push_back(static_cast<std::int32_t>((i * 31 + 3) % model->info().vocab_size));
  }
  const at::Tensor ids = at::tensor(batch.ids, at::kLong).view({batch.n_sequences, batch.n_positions}).cuda();
  const at::Tensor targets = at::tensor(batch.targets, at::kInt).to(at::kLong).view_as(ids).cuda();
  const at::Tensor fence = at::zeros({1}, ids.options().dtype(at::kFloat));
  std::vector<double> bits, ours_s, eager_s;
  double eager_nats = 0.0;
  for (int round = 0; round <= repeats; ++round) {
    const double ours = wall_s(fence, 1, [&] { model->score(batch, bits); });
    eager_nats = 0.0;
    const double theirs = wall_s(fence, 1, [&] {
      for (std::int64_t b = 0; b < batch.n_sequences; ++b) {
        const at::Tensor logits = eager.forward(ids.slice(0, b, b + 1))[0].to(at::kFloat);
        eager_nats -= at::log_softmax(logits, 1).gather(1, targets[b].unsqueeze(1)).sum().item<double>();
      }
    });
    if (round == 0) continue;
    ours_s.push_back(ours), eager_s.push_back(theirs);
  }
  const double ours_bits = std::accumulate(bits.begin(), bits.end(), 0.0), eager_bits = eager_nats / std::log(2.0);
  if (std::fabs(ours_bits / eager_bits - 1) > 1e-3) {
    std::fprintf(stderr, "%s: %f bits, the eager loop %f\n", path.c_str(), ours_bits, eager_bits);
    std::exit(1);
  }
  const auto n = static_cast<double>(batch.rows.size());
  std::printf("%s, windows of %ld: %.0f tokens/s, %.2f times the eager loop's\n", model->info().name.c_str(),
              static_cast<long>(batch.n_positions), n / median(ours_s), median(eager_s) / median(ours_s));
}

int run(int argc, char** argv) {
  int repeats = 9;
  std::int64_t n_rows = 512, n_cols = 50257;
  std::string model;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--repeats") repeats = std::atoi(argv[i + 1]);
    if (flag == "--rows") n_rows = std::atoll(argv[i + 1]);
    if (flag == "--columns") n_cols = std::atoll(argv[i + 1]);
    if (flag == "--model") model = argv[i + 1];
  }
  const c10::InferenceMode inference;
  prepare_torch();
  on_the_cpu(repeats, n_rows, n_cols);
  if (const auto why = why_no_cuda_device()) {
    std::printf("no GPU rows: %s\n", why->c_str());
    return 0;
  }
  kernels_on_a_gpu(repeats);
  tiles_on_a_gpu(repeats);
  if (!model.empty()) run_on_a_gpu(repeats, model);
  return 0;
}

}  // namespace
}  // namespace lmbits::bench

int main(int argc, char** argv) { return lmbits::bench::run(argc, argv); }
