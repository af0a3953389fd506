// How close does scoring come to the machine's matrix product? One thread, CPU time, medians of interleaved repeats.
//
// usage: eval_bench [MODEL.pt [CORPUS.txt]] [--repeats N] [--positions N] [--libtorch] [--write NEW.pt]       without MODEL: a random model of SmolLM2-135M's shape
//
// Useful FLOP = 2 x body parameters a fed position + 4 x hidden x layers x mean context a fed position (attention) +
// 2 x V x D a scored token (head). Padding and dummy sequences count as time, not as work. Peaks: torch.mm at 2048^3 at
// its default precision (MKL where libtorch has it) and at "medium" (oneDNN), in the same run.
#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <sys/resource.h>

#include <cstring>

#include "bench/bench.h"
#include "bench/random_llama.h"
#include "kernels/nll.h"
#include "src/conventions/plan.h"
#include "src/core/file.h"
#include "src/model/head_nll.h"
#include "src/model/load.h"
#include "src/scoring/batcher.h"
#include "src/scoring/sequence.h"

namespace lmbits::bench {
namespace {

struct Spread : Rates {
  void print(const char* name, double peak) const {
    const auto [lo, hi] = std::minmax_element(values.begin(), values.end());
    std::printf("%-34s %7.1f GFLOP/s  [%.1f, %.1f]  %5.2f of sgemm\n", name, middle() / 1e9, *lo / 1e9, *hi / 1e9,
                middle() / peak);
  }
};

struct Work {
  std::vector<Batch> batches;
  double flop = 0.0, head_flop = 0.0;
  std::int64_t n_scored = 0, n_fed = 0;
};

// The windows of convention `default` over `ids`: the whole context (at most 2048), half a context apart.
Work plan_work(const std::vector<std::int32_t>& ids, const LanguageModel& model, std::int64_t positions) {
  const ModelInfo& info = model.info();
  const Convention convention = convention_for(model, {});
  Batcher batcher(BatchPlan(convention.window, positions, 0));
  Work work;
  const double dim = info.metadata.at("shape").at("hidden").get<double>();
  const double layers = info.metadata.at("shape").at("layers").get<double>();
  const double body = info.metadata.at("parameters").at("non_embedding").get<double>();
  const auto take = [&](const std::vector<WindowTask>& tasks) {
    if (!tasks.empty()) work.batches.push_back(batcher.pack(tasks));
  };
  for (const Window& w : plan(convention, static_cast<std::int64_t>(ids.size()))) {
    WindowTask task;
    task.input.assign(ids.begin() + w.begin, ids.begin() + w.end);
    task.first_row = w.score_begin - 1 - w.begin;
    task.targets.assign(ids.begin() + w.score_begin, ids.begin() + w.score_end);
    const auto fed = static_cast<double>(task.input.size());
    work.flop += fed * (2 * body + 4 * dim * layers * (fed + 1) / 2);
    work.head_flop += 2.0 * static_cast<double>(task.targets.size()) * static_cast<double>(info.vocab_size) * dim;
    work.n_scored += static_cast<std::int64_t>(task.targets.size());
    work.n_fed += static_cast<std::int64_t>(task.input.size());
    take(batcher.add(std::move(task)));
  }
  for (auto rest = batcher.flush(); !rest.empty(); rest = batcher.flush()) take(rest);
  work.flop += work.head_flop;
  return work;
}

// Head and NLL alone, on random hidden rows.
double head_rate(const ModelInfo& info, std::int64_t n_rows) {
  const std::int64_t dim = info.metadata.at("shape").at("hidden").get<std::int64_t>();
  const at::Tensor h = at::randn({n_rows, dim}), weight = at::randn({info.vocab_size, dim}) * 0.05;
  const std::vector<std::int32_t> targets(static_cast<std::size_t>(n_rows), 7);
  std::vector<double> bits;
  const WeightHead head(weight, std::nullopt, {.vocab_size = info.vocab_size});
  const double seconds = cpu_s([&] { head.score(h, targets, bits); });
  return 2.0 * double(n_rows) * double(dim) * double(info.vocab_size) / seconds;
}

double sgemm_rate(const at::Tensor& a, const at::Tensor& b, const std::string& precision) {
  at::globalContext().setFloat32MatmulPrecision(precision);
  const double seconds = cpu_s([&] { at::mm(a, b); });
  at::globalContext().setFloat32MatmulPrecision("highest");
  return 2.0 * 2048 * 2048 * 2048 / seconds;
}

int run(int argc, char** argv) {
  std::string path, corpus;
  int repeats = 5;
  bool fuse = true;
  std::int64_t positions = 1024;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--repeats") == 0 && i + 1 < argc)
      repeats = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--positions") == 0 && i + 1 < argc)
      positions = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--libtorch") == 0)
      fuse = false;
    else if (std::strcmp(argv[i], "--write") == 0 && i + 1 < argc)
      return write_random_llama(argv[i + 1], kSmolLM2_135M), 0;
    else
      (path.empty() ? path : corpus) = argv[i];
  }
  prepare_torch();
  const bool random = path.empty();
  if (random) {
    path = (std::filesystem::temp_directory_path() / "lmbits-random-llama.pt").string();
    write_random_llama(path, kSmolLM2_135M);
  }
  const auto model = open_model({"", path}, {.fuse = fuse});
  model->load();
  if (random) std::filesystem::remove(path);
  const ModelInfo& info = model->info();
  std::vector<std::int32_t> ids;
  if (corpus.empty()) {
    for (std::int64_t i = 0; i < 4 * std::min<std::int64_t>(info.context_length, 2048); ++i)
      ids.push_back(static_cast<std::int32_t>(i * 7919 % info.vocab_size));
  } else {
    ids = model->tokenizer().encode(read_file(corpus)).ids;
  }
  const Work work = plan_work(ids, *model, positions);
  const at::Tensor a = at::randn({2048, 2048}), b = at::randn({2048, 2048});
  Spread sgemm, medium, scoring, head;
  std::vector<double> bits;
  double seconds = 0.0;
  for (int i = -1; i < repeats; ++i) {  // the first round warms up
    const double rates[] = {sgemm_rate(a, b, "highest"), sgemm_rate(a, b, "medium")};
    const double s = cpu_s([&] {
      for (const Batch& batch : work.batches) model->score(batch, bits);
    });
    const double head_flops = head_rate(info, 2048);
    if (i < 0) continue;
    seconds = s;
    sgemm.add(rates[0], 1);
    medium.add(rates[1], 1);
    scoring.add(work.flop, s);
    head.add(head_flops, 1);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "%s: %lld tokens scored, %lld fed, %.1f GFLOP useful; %.0f scored tokens/s; NLL kernel %s, B*T %lld, peak RSS "
      "%ld MiB\n",
      info.name.c_str(), (long long)work.n_scored, (long long)work.n_fed, work.flop / 1e9,
      double(work.n_scored) / seconds, kernels::nll_isa(), (long long)positions, usage.ru_maxrss / 1024);
  sgemm.print("torch.mm 2048^3, default precision", sgemm.middle());
  medium.print("torch.mm 2048^3, \"medium\"", sgemm.middle());
  scoring.print("scoring, useful FLOP", sgemm.middle());
  head.print("head + NLL, 2048 rows", sgemm.middle());
  const double fastest = std::max(sgemm.middle(), medium.middle());
  std::printf("of the faster backend's: scoring %.2f, head + NLL %.2f\n", scoring.middle() / fastest,
              head.middle() / fastest);
  return 0;
}

}  // namespace
}  // namespace lmbits::bench

int main(int argc, char** argv) { return lmbits::bench::run(argc, argv); }
