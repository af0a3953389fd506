#include "src/report/min_k_report.h"

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/rank_report.h"

namespace lmbits {
namespace {

Table models_table(const MinKReport& report) {
  const std::string level = "[" + percent_as_given(report.level) + "]";
  Table table;
  table.columns = {
      {.key = "model", .title = "model", .align = Align::kLeft},
      {.key = "n_a", .title = "examples A"},
      {.key = "n_b", .title = "B"},
      {.key = "mean_a", .title = "bits A", .decimals = 3},
      {.key = "mean_b", .title = "bits B", .decimals = 3},
      {.key = "difference", .title = "B - A", .decimals = 3, .sign = true},
      {.key = "difference_interval", .title = level, .decimals = 3, .sign = true, .interval = true, .joined = true},
      {.key = "share_below", .title = "A below B", .decimals = 2},
      {.key = "share_interval", .title = level, .decimals = 2, .interval = true, .joined = true}};
  for (const MinKModel& m : report.models)
    table.rows.push_back({{m.model, static_cast<std::int64_t>(m.n_a), static_cast<std::int64_t>(m.n_b),
                           m.comparison.mean_a, m.comparison.mean_b, m.comparison.difference,
                           m.comparison.difference_interval, m.comparison.share_below, m.comparison.share_interval}});
  return table;
}

std::string verdict(const MinKModel& m) {
  const SampleComparison& c = m.comparison;
  if (c.share_interval.lo > 0.5)
    return m.model + ": A is the more familiar text: its rarest tokens cost less in " +
           format_fixed(100.0 * c.share_below, 0) + " % of pairs of examples. It looks trained on, or is plainer.";
  if (c.share_interval.hi < 0.5)
    return m.model + ": B is the more familiar text (A is below in only " + format_fixed(100.0 * c.share_below, 0) +
           " % of pairs).";
  return m.model + ": no sign that either text was trained on: the intervals include no difference.";
}

}  // namespace

std::vector<double> min_k_examples(std::span<const ScoredToken> tokens, double share, std::int64_t example_bytes) {
  std::vector<double> examples, bits;
  std::int64_t n_bytes = 0;
  const auto end_example = [&] {
    if (!bits.empty()) examples.push_back(min_k_bits(bits, share));
    bits.clear();
    n_bytes = 0;
  };
  for (const ScoredToken& token : tokens) {
    bits.push_back(token.bits);
    n_bytes += token.n_bytes;
    if (n_bytes >= example_bytes) end_example();
  }
  if (2 * n_bytes >= example_bytes) end_example();
  return examples;
}

void add_model(MinKReport& report, const std::string& model, std::span<const ScoredToken> a,
               std::span<const ScoredToken> b) {
  const std::vector<double> of_a = min_k_examples(a, report.share, report.example_bytes),
                            of_b = min_k_examples(b, report.share, report.example_bytes);
  for (const auto* examples : {&of_a, &of_b}) {
    if (examples->size() >= 2) continue;
    throw Error(ErrorKind::kData,
                (examples == &of_a ? report.a : report.b) + " makes " +
                    counted(static_cast<std::int64_t>(examples->size()), "example") + " of " +
                    std::to_string(report.example_bytes) + " bytes; it takes two",
                "give a longer text, or smaller --example-bytes");
  }
  report.models.push_back(
      {model, of_a.size(), of_b.size(), compare_samples(of_a, of_b, report.level, report.n_resamples, report.seed)});
}

std::string to_text(const MinKReport& report, const TextStyle& style) {
  std::string text = "MIN-K% Prob, k = " + percent_as_given(report.share) + ", examples of " +
                     with_thousands(report.example_bytes) + " bytes · A " + printable(report.a) + " · B " +
                     printable(report.b) + "\n" + to_text(models_table(report), style) + "\n";
  for (const MinKModel& m : report.models) text += wrapped(verdict(m), style.width, 2);
  return text + "\n" +
         wrapped("bits: the mean over examples of the bits of their dearest " + percent_as_given(report.share) +
                     " of tokens (Shi et al. 2023, arXiv:2310.16789, in bits and with the sign turned). "
                     "A below B: share of pairs of examples; 0.5 tells nothing apart. Intervals: " +
                     percent_as_given(report.level) +
                     " percentile bootstrap over examples. Texts of different "
                     "kinds differ in this without any training: compare texts of one kind, and models that cannot "
                     "have seen either.",
                 style.width, 0);
}

Json to_json(const MinKReport& report) {
  return {{"schema", 1},
          {"name", "min-k"},
          {"a", printable(report.a)},
          {"b", printable(report.b)},
          {"share", report.share},
          {"example_bytes", report.example_bytes},
          {"level", report.level},
          {"resamples", report.n_resamples},
          {"seed", report.seed},
          {"models", to_json(models_table(report))}};
}

}  // namespace lmbits
