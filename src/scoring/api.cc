#include "src/scoring/api.h"

#include "kernels/nll.h"
#include "src/conventions/plan.h"
#include "src/core/json.h"
#include "src/model/load.h"
#include "src/scoring/batch_scorer.h"
#include "src/scoring/batcher.h"
#include "src/scoring/conditional_bits.h"
#include "src/scoring/sequence.h"

namespace lmbits {
namespace {

Json inspect_model(const std::string& model, const std::string& dtype) {
  return describe_model(parse_model_spec(model), {.dtype = dtype, .device = "cpu"});
}

// Of a text that is one sequence x.
void add_costs(const LanguageModel& model, const Convention& convention, const std::string& text,
               std::vector<TokenCost>& costs) {
  Sequence sequence;
  if (convention.prepend_lead || convention.lead_each_document) sequence.add_lead(convention);
  sequence.add(model.tokenizer().encode(text));
  Batcher batcher(BatchPlan(std::max<std::int64_t>(convention.window, 16), 1, 1));
  WindowCutter cutter(sequence, convention, 0, 1);
  WindowCutter places(sequence, convention, 0, 1);
  const auto n = static_cast<std::int64_t>(sequence.ids.size());
  const BatchScorer score_batch(model, convention);
  std::vector<double> bits;
  for (std::int64_t k = 0; k < n_windows(convention, n); ++k) {
    const WindowTask task = cutter.cut(k, nullptr, k);
    score_batch(batcher.pack({task}), bits);
    std::int64_t x = window_at(convention, n, k).score_begin;
    for (std::size_t i = 0; i < bits.size(); ++i, ++x) {
      const auto length = static_cast<std::size_t>(sequence.n_bytes[static_cast<std::size_t>(x)]);
      const auto from = std::min(static_cast<std::size_t>(places.byte_at(x)), text.size());
      costs.push_back({text.substr(from, length), task.targets[i], bits[i]});
    }
  }
}

std::vector<TokenCost> inspect_text(const std::string& model_spec, const std::string& text,
                                    const ConventionOptions& options) {
  const auto model = open_model(parse_model_spec(model_spec), {});
  model->load();
  const Convention convention = convention_for(*model, options);
  std::vector<TokenCost> costs;
  const std::size_t step =
      convention.scope == Scope::kByteChunks ? static_cast<std::size_t>(convention.window) : text.size();
  for (std::size_t at = 0; at < text.size(); at += step) add_costs(*model, convention, text.substr(at, step), costs);
  return costs;
}

Json describe() {
  Json json = describe_torch();
  json["nll_kernel"] = kernels::nll_isa();
  return json;
}

constexpr EvalApi kApi{evaluate,        inspect_model, inspect_text,         describe, choose, compress_file,
                       decompress_file, race_models,   open_conditional_bits};

}  // namespace

extern "C" const EvalApi* lmbits_eval_api() { return &kApi; }

}  // namespace lmbits
