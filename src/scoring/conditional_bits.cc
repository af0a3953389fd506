#include "src/scoring/conditional_bits.h"

#include <algorithm>

#include "src/conventions/plan.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/model/load.h"
#include "src/scoring/batcher.h"
#include "src/scoring/sequence.h"

namespace lmbits {
namespace {

constexpr std::int64_t kPositions = 4096;  // B * T of a batch

class ModelConditionalBits final : public ConditionalBits {
 public:
  ModelConditionalBits(const std::string& spec, int n_threads)
      : model_(open_model(parse_model_spec(spec), {})), n_threads_(n_threads) {
    prepare_torch();
    model_->load();
    convention_ = convention_for(*model_, {});
  }

  std::vector<double> bits(const std::string& context, const std::vector<std::string>& texts) override {
    const Tokens before = model_->tokenizer().encode(context);
    Batcher batcher(BatchPlan(std::max<std::int64_t>(convention_.window, 16), kPositions, 0));
    std::vector<std::vector<WindowTask>> batches;
    std::vector<Part> parts;  // by WindowTask::index
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto [sequence, first] = sequence_of(before, model_->tokenizer().encode(texts[i]));
      const auto n = static_cast<std::int64_t>(sequence.ids.size());
      WindowCutter cutter(sequence, convention_, 0, 1);
      for (std::int64_t k = 0; k < n_windows(convention_, n); ++k) {
        const std::int64_t begin = window_at(convention_, n, k).score_begin;
        auto full = batcher.add(cutter.cut(k, nullptr, std::ssize(parts)));
        parts.push_back({i, std::max<std::int64_t>(0, first - begin), 0.0});
        if (!full.empty()) batches.push_back(std::move(full));
      }
    }
    for (auto rest = batcher.flush(); !rest.empty(); rest = batcher.flush()) batches.push_back(std::move(rest));
    parallel_for(std::ssize(batches), n_threads_,
                 [&](std::int64_t b) { score(batcher, batches[static_cast<std::size_t>(b)], parts); });
    std::vector<double> sums(texts.size());
    for (const Part& part : parts) sums[part.text] += part.bits;
    return sums;
  }

  std::int64_t context_length() const override { return convention_.window; }

  Json identity() const override {
    return {{"name", "model"},
            {"model", model_->info().fingerprint},
            {"tokenizer", model_->tokenizer().fingerprint()},
            {"dtype", model_->info().dtype},
            {"convention", to_json(convention_)}};
  }

 private:
  // A window's share of a text.
  struct Part {
    std::size_t text;
    std::int64_t first;  // of its targets, the first one that belongs to the text and not to the context
    double bits;
  };

  // BOS, the context's end, the text; and where the text begins.
  std::pair<Sequence, std::int64_t> sequence_of(const Tokens& before, const Tokens& text) const {
    Sequence sequence;
    if (convention_.prepend_lead) sequence.add_lead(convention_);
    const std::int64_t room = convention_.window - std::ssize(text.ids);
    const auto n_context = static_cast<std::ptrdiff_t>(
        std::min<std::int64_t>(std::ssize(before.ids), std::max(room, convention_.window / 2)));
    Tokens tail;
    tail.ids.assign(before.ids.end() - n_context, before.ids.end());
    tail.n_bytes.assign(before.n_bytes.end() - n_context, before.n_bytes.end());
    sequence.add(std::move(tail));
    const auto first = std::ssize(sequence.ids);
    sequence.add(text);
    return {std::move(sequence), first};
  }

  void score(const Batcher& batcher, const std::vector<WindowTask>& tasks, std::vector<Part>& parts) const {
    prepare_torch_thread();
    std::vector<double> bits;
    model_->score(batcher.pack(tasks), bits);
    std::size_t at = 0;
    for (const WindowTask& task : tasks) {
      Part& part = parts[static_cast<std::size_t>(task.index)];
      for (std::size_t t = 0; t < task.targets.size(); ++t, ++at)
        if (static_cast<std::int64_t>(t) >= part.first) part.bits += bits[at];
    }
  }

  std::unique_ptr<LanguageModel> model_;
  Convention convention_;
  int n_threads_;
};

}  // namespace

std::unique_ptr<ConditionalBits> open_conditional_bits(const std::string& model, int n_threads) {
  return std::make_unique<ModelConditionalBits>(model, n_threads);
}

}  // namespace lmbits
