#include "src/report/compare_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/pairing.h"
#include "src/report/wording.h"
#include "src/stats/paired_tests.h"

namespace lmbits {
namespace {

constexpr std::size_t kMovedShown = 5;
constexpr IntervalMethod kMethod = IntervalMethod::kBca;

// A corpus under a convention that both sides have.
struct Entry {
  const Run* base = nullptr;
  const Run* next = nullptr;
  Pairing pairing;
  std::vector<Resamples> resamples;
  bool paired() const { return pairing.groups.size() == 1; }
};

std::string only_model(const std::vector<Run>& runs, const char* side) {
  std::set<std::string> names;
  for (const Run& run : runs) names.insert(model_name(run));
  if (names.empty())
    throw Error(ErrorKind::kData, std::string(side) + " holds no run",
                "give a run folder, or a model's name with --dir");
  if (names.size() == 1) return *names.begin();
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  throw Error(ErrorKind::kUsage,
              std::string(side) + " holds runs of " + std::to_string(names.size()) + " models: " + list,
              "name one of them: lmbits compare BASE NEW --dir DIR");
}

using Key = std::pair<std::string, std::string>;  // convention, corpus

std::map<Key, const Run*> by_key(const std::vector<Run>& runs) {
  std::map<Key, const Run*> found;
  for (const Run& run : runs) {
    if (run.summary.is_null()) {
      throw Error(
          ErrorKind::kData,
          "the run in " + run.path.string() + " is unfinished: " + std::to_string(run.records.size()) + " documents",
          "finish it with the same `lmbits eval` command");
    }
    const auto [there, is_new] = found.emplace(Key{convention_name(run), corpus_name(run)}, &run);
    if (!is_new) {
      throw Error(ErrorKind::kData,
                  "two runs of one model on corpus " + corpus_name(run) + ": " + there->second->path.string() +
                      " and " + run.path.string(),
                  "move one of them away");
    }
  }
  return found;
}

// The same corpus name must be the same text on both sides. The model may differ under one name: that is the question.
void check_corpora(const Run& base, const Run& next) {
  Run renamed;
  renamed.path = next.path;
  renamed.manifest = next.manifest;
  renamed.manifest["model"]["name"] = model_name(base) + " (new)";
  check_names({&base, &renamed});
}

void warn_of_left_out(const Entry& entry, Comparison& comparison) {
  const std::size_t runs[] = {0, 1};
  for (const std::size_t i : runs) {
    const Run& run = i == 0 ? *entry.base : *entry.next;
    const TriedDocuments tried = tried_documents(run);
    const auto n_with_text = static_cast<std::size_t>(
        std::count_if(tried.scored.begin(), tried.scored.end(), [](const auto* r) { return r->n_bytes > 0; }));
    const std::size_t n_compared = entry.pairing.documents(i).size();
    if (n_with_text == n_compared && tried.n_failed == 0 && run.n_damaged_lines == 0) continue;
    comparison.warnings.push_back(std::string(i == 0 ? "base" : "new") + ": compared on " + std::to_string(n_compared) +
                                  " of the " + std::to_string(n_with_text) + " documents it scored; " +
                                  std::to_string(tried.n_failed) + " failed, " + std::to_string(run.n_damaged_lines) +
                                  " damaged lines");
  }
  if (!entry.paired()) {
    comparison.warnings.push_back(
        "the two models cut the text in different ways: the comparison is not paired, its interval is wide");
  } else if (comparison.n_units < static_cast<std::int64_t>(kFewestUnits)) {
    comparison.warnings.push_back(std::to_string(comparison.n_units) +
                                  (entry.pairing.groups[0].blocks ? " blocks of text" : " documents") +
                                  " only: too few for an interval");
  } else if (entry.pairing.groups[0].blocks) {
    comparison.warnings.push_back("fewer than 10 documents: the interval comes from " +
                                  std::to_string(comparison.n_units) +
                                  " blocks of text, and says nothing about other documents");
  }
}

std::vector<double> unit_differences(const Entry& entry) {
  const PairedUnits& units = entry.pairing.groups[0].units;
  std::vector<double> differences;
  for (std::size_t u = 0; u < units.weight.size(); ++u)
    differences.push_back((units.bits[1][u] - units.bits[0][u]) / units.weight[u]);
  return differences;
}

void test_units(const std::vector<const Entry*>& entries, Comparison& comparison) {
  std::vector<double> differences;
  for (const Entry* entry : entries) {
    if (!entry->paired()) return;
    const std::vector<double> more = unit_differences(*entry);
    differences.insert(differences.end(), more.begin(), more.end());
  }
  comparison.n_better = std::count_if(differences.begin(), differences.end(), [](double d) { return d < 0.0; });
  comparison.n_worse = std::count_if(differences.begin(), differences.end(), [](double d) { return d > 0.0; });
  comparison.sign_p = sign_test(differences);
  comparison.wilcoxon_p = wilcoxon_signed_rank(differences);
}

void list_moved(const std::vector<const Entry*>& entries, Comparison& comparison) {
  std::vector<MovedDocument> moved;
  for (const Entry* entry : entries) {
    if (!entry->paired()) return;
    const auto& base = entry->pairing.documents(0);
    const auto& next = entry->pairing.documents(1);
    for (std::size_t d = 0; d < base.size(); ++d) {
      if (base[d]->bits != next[d]->bits) {
        moved.push_back({corpus_name(*entry->base), base[d]->id, base[d]->n_bytes, base[d]->bits, next[d]->bits});
      }
    }
  }
  std::stable_sort(moved.begin(), moved.end(), [](const MovedDocument& a, const MovedDocument& b) {
    return std::abs(a.new_bits - a.base_bits) > std::abs(b.new_bits - b.base_bits);
  });
  if (moved.size() > kMovedShown) moved.resize(kMovedShown);
  comparison.moved = std::move(moved);
}

std::string percent(double share, int decimals, bool sign = false) {
  return format_fixed(100.0 * share, decimals, sign) + " %";
}

std::string verdict_of(const Comparison& c, const CompareRequest& request) {
  if (!c.relative_interval) return "undecided: there is no interval";
  const Interval& interval = *c.relative_interval;
  std::string verdict = interval.lo > 0.0 ? "worse"
                        : interval.hi < 0.0
                            ? "better"
                            : "no difference shown at the " + percent_as_given(request.level) + " level";
  if (interval.lo == 0.0 && interval.hi == 0.0) verdict = "no difference: the same bits";
  if (request.max_regression && interval.lo > -*request.max_regression && interval.hi < *request.max_regression) {
    verdict += "; equivalent within ±" + percent_as_given(*request.max_regression);
  }
  return verdict;
}

Gate gate_of(const Comparison& c, const Statistic& relative, bool has_interval, double limit, double level) {
  Gate gate;
  gate.level = level;
  if (has_interval) gate.interval = interval_of(relative, level, kMethod);
  if (!gate.interval) return gate;
  gate.regression = gate.interval->lo > 0.0 && c.relative > limit;
  gate.settled = gate.regression || gate.interval->hi <= limit;
  // Half widths shrink with the root of n: above the limit the interval must come to exclude 0, below it the limit.
  const double distance = c.relative > limit ? c.relative : limit - c.relative;
  const double reach = c.relative > limit ? c.relative - gate.interval->lo : gate.interval->hi - c.relative;
  const double needed = static_cast<double>(c.n_units) * (reach / distance) * (reach / distance);
  if (!gate.settled && std::isfinite(needed) && needed < 1e12)
    gate.units_needed = static_cast<std::int64_t>(std::ceil(needed));
  return gate;
}

Comparison compare_entries(const std::vector<const Entry*>& entries, const CompareRequest& request,
                           std::size_t n_gated) {
  Comparison result;
  result.convention = convention_name(*entries[0]->base);
  if (entries.size() == 1) result.corpus = corpus_name(*entries[0]->base);
  Strata strata;
  for (const Entry* entry : entries) {
    strata.push_back(columns_of(entry->pairing, entry->resamples, {0, 1}));
    if (entry->pairing.groups[0].blocks) result.unit = "block";
    result.n_documents += static_cast<std::int64_t>(entry->pairing.documents(0).size());
    result.n_units += static_cast<std::int64_t>(strata.back()[0].weight.size());
  }
  const Statistic base = statistic(strata, 0, Metric::kBitsPerByte, Pooling::kMicro);
  const Statistic next = statistic(strata, 1, Metric::kBitsPerByte, Pooling::kMicro);
  const Statistic absolute = difference(next, base), relative = relative_difference(next, base);
  result.base = base.value;
  result.next = next.value;
  result.difference = absolute.value;
  result.relative = relative.value;
  const bool has_interval = has_spread(strata);
  if (has_interval) {
    result.difference_interval = interval_of(absolute, request.level, kMethod);
    result.relative_interval = interval_of(relative, request.level, kMethod);
  }
  test_units(entries, result);
  list_moved(entries, result);
  result.verdict = verdict_of(result, request);
  if (request.max_regression) {
    const double level = 1.0 - (1.0 - request.level) / static_cast<double>(n_gated);
    result.gate = gate_of(result, relative, has_interval, *request.max_regression, level);
  }
  return result;
}

// The runs that both sides have; the others are named in `warnings`.
std::vector<Entry> matched(const std::vector<Run>& base, const std::vector<Run>& next,
                           std::vector<std::string>& warnings) {
  const std::map<Key, const Run*> left = by_key(base), right = by_key(next);
  std::vector<Entry> entries;
  for (const auto& [key, run] : left) {
    const auto other = right.find(key);
    if (other == right.end()) {
      warnings.push_back("only base has corpus " + key.second + " with convention " + key.first);
      continue;
    }
    check_corpora(*run, *other->second);
    Entry entry;
    entry.base = run;
    entry.next = other->second;
    entry.pairing = pair_runs({entry.base, entry.next}, Metric::kBitsPerByte);
    entries.push_back(std::move(entry));
  }
  for (const auto& [key, run] : right) {
    if (left.count(key) == 0) warnings.push_back("only new has corpus " + key.second + " with convention " + key.first);
  }
  if (entries.empty()) {
    throw Error(ErrorKind::kData, "base and new have no corpus with the same convention in common",
                "score both on the same corpus");
  }
  return entries;
}

// ---- text ----

std::string p_value(const std::optional<double>& p) {
  if (!p) return "—";
  return *p < 1e-4 ? "< 0.0001" : format_fixed(*p, 4);
}

std::string interval_text(const std::optional<Interval>& interval, double scale, int decimals, const char* unit) {
  if (!interval) return "—";
  return "[" + format_fixed(scale * interval->lo, decimals, true) + ", " +
         format_fixed(scale * interval->hi, decimals, true) + "]" + unit;
}

std::string gate_text(const Comparison& c, double limit) {
  const Gate& gate = *c.gate;
  const std::string rule =
      "; limit " + percent_as_given(limit) + ", interval at the " + percent_as_given(gate.level) + " level";
  const std::string found =
      "\n               " + percent(c.relative, 3, true) + " " + interval_text(gate.interval, 100.0, 3, " %") + rule;
  if (!gate.interval) return "passed, but undecided: there is no interval" + rule;
  if (gate.regression) return "REGRESSION" + found;
  if (gate.settled) return "passed" + found;
  return "passed, but the interval is too wide to decide" +
         (gate.units_needed ? ": about " + counted(*gate.units_needed, c.unit) + " would do" : "") + found;
}

Table moved_table(const Comparison& c, bool with_corpus) {
  Table table;
  table.columns = {{.key = "corpus",
                    .title = "corpus",
                    .align = Align::kLeft,
                    .audience = with_corpus ? Audience::kAll : Audience::kMachines},
                   {.key = "id", .title = "document", .align = Align::kLeft},
                   {.key = "n_bytes", .title = "bytes"},
                   {.key = "base_bits", .title = "base bits", .decimals = 1},
                   {.key = "new_bits", .title = "new bits", .decimals = 1},
                   {.key = "bits", .title = "change", .decimals = 1, .sign = true},
                   {.key = "percent", .title = "%", .decimals = 2, .sign = true}};
  for (const MovedDocument& m : c.moved) {
    const double change = m.new_bits - m.base_bits;
    table.rows.push_back(
        {{m.corpus, m.id, m.n_bytes, m.base_bits, m.new_bits, change, 100.0 * change / m.base_bits}, Emphasis::kNone});
  }
  return table;
}

std::string comparison_text(const Comparison& c, const CompareReport& report, const TextStyle& style) {
  std::string text = (c.corpus.empty() ? "all corpora together" : printable(c.corpus)) + " · " +
                     printable(c.convention) + " · " + counted(c.n_documents, "document") + "\n";
  if (style.color) text = "\x1b[1m" + text.substr(0, text.size() - 1) + "\x1b[0m\n";
  text += "  bits/byte ↓  " + format_fixed(c.base, 4) + " -> " + format_fixed(c.next, 4) + "\n";
  text += "  difference   " + format_fixed(c.difference, 4, true) + " " +
          interval_text(c.difference_interval, 1.0, 4, "") + "\n";
  text += "  relative     " + percent(c.relative, 3, true) + " " + interval_text(c.relative_interval, 100.0, 3, " %") +
          "\n";
  text += "  " + c.unit + "s" + std::string(c.unit == "block" ? 7 : 4, ' ') + with_thousands(c.n_better) + " better, " +
          with_thousands(c.n_worse) + " worse; sign test p " + p_value(c.sign_p) + ", Wilcoxon p " +
          p_value(c.wilcoxon_p) + "\n";
  text += "  verdict      " + c.verdict + "\n";
  if (c.gate) text += "  gate         " + gate_text(c, *report.request.max_regression) + "\n";
  if (!c.moved.empty()) {
    text += "  moved the most:\n";
    const std::string table = to_text(moved_table(c, c.corpus.empty()), {style.width - 4, false});
    for (std::size_t begin = 0; begin < table.size();) {
      const std::size_t end = table.find('\n', begin) + 1;
      text += "    " + table.substr(begin, end - begin);
      begin = end;
    }
  }
  for (const std::string& warning : c.warnings) text += "  ! " + printable(warning) + "\n";
  return text + "\n";
}

Json interval_json(const std::optional<Interval>& interval) {
  return interval ? Json::array({interval->lo, interval->hi}) : Json(nullptr);
}

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json comparison_json(const Comparison& c) {
  Json json{{"corpus", c.corpus.empty() ? Json(nullptr) : Json(printable(c.corpus))},
            {"convention", printable(c.convention)},
            {"n_documents", c.n_documents},
            {"unit", c.unit},
            {"n_units", c.n_units},
            {"base_bits_per_byte", finite_or_null(c.base)},
            {"new_bits_per_byte", finite_or_null(c.next)},
            {"difference", finite_or_null(c.difference)},
            {"difference_interval", interval_json(c.difference_interval)},
            {"relative", finite_or_null(c.relative)},
            {"relative_interval", interval_json(c.relative_interval)},
            {"n_better", c.n_better},
            {"n_worse", c.n_worse},
            {"sign_test_p", to_json_or_null(c.sign_p)},
            {"wilcoxon_p", to_json_or_null(c.wilcoxon_p)},
            {"verdict", c.verdict},
            {"gate", nullptr},
            {"moved", to_json(moved_table(c, true))},
            {"warnings", Json::array()}};
  if (c.gate) {
    json["gate"] = {{"level", c.gate->level},
                    {"interval", interval_json(c.gate->interval)},
                    {"regression", c.gate->regression},
                    {"settled", c.gate->settled},
                    {"units_needed", to_json_or_null(c.gate->units_needed)}};
  }
  for (const std::string& warning : c.warnings) json["warnings"].push_back(printable(warning));
  return json;
}

}  // namespace

CompareReport compare_runs(const std::vector<Run>& base, const std::vector<Run>& next, const CompareRequest& request) {
  CompareReport report;
  report.request = request;
  report.base = only_model(base, "base");
  report.next = only_model(next, "new");
  std::vector<Entry> entries = matched(base, next, report.warnings);

  std::map<std::string, std::vector<const Entry*>> conventions;
  std::size_t n_units = 0;
  for (const Entry& entry : entries) {
    conventions[convention_name(*entry.base)].push_back(&entry);
    n_units = std::max(n_units, entry.pairing.groups[0].units.weight.size());
  }
  if (request.n_resamples == 0) report.request.n_resamples = default_resamples(2, n_units);
  for (Entry& entry : entries) {
    entry.resamples = resample_groups(entry.pairing, corpus_name(*entry.base), report.request.n_resamples, request.seed,
                                      request.n_threads);
  }
  std::vector<std::vector<const Entry*>> compared;  // each corpus, then all corpora of a convention
  for (const Entry& entry : entries) compared.push_back({&entry});
  for (const auto& [name, members] : conventions) {
    if (members.size() > 1) compared.push_back(members);
  }
  for (const auto& members : compared) {
    report.comparisons.push_back(compare_entries(members, report.request, compared.size()));
    Comparison& comparison = report.comparisons.back();
    if (members.size() == 1) warn_of_left_out(*members[0], comparison);
    report.regression = report.regression || (comparison.gate && comparison.gate->regression);
  }
  return report;
}

std::string to_text(const CompareReport& report, const TextStyle& style) {
  std::string text = "base " + printable(report.base) + ", new " + printable(report.next) + "\n\n";
  for (const Comparison& comparison : report.comparisons) text += comparison_text(comparison, report, style);
  for (const std::string& warning : report.warnings) text += "! " + printable(warning) + "\n";
  text += "↓ lower is better. Intervals: " + percent_as_given(report.request.level) +
          " BCa bootstrap, paired by document, " + with_thousands(report.request.n_resamples) + " resamples (seed " +
          std::to_string(report.request.seed) + ").\n";
  if (report.request.max_regression) {
    text += "Gate: a regression is an increase whose interval is above 0 and whose estimate is above " +
            percent_as_given(*report.request.max_regression) + ".\n";
  }
  return text;
}

Json to_json(const CompareReport& report) {
  Json json{{"schema", 1},
            {"base", printable(report.base)},
            {"new", printable(report.next)},
            {"level", report.request.level},
            {"max_regression", to_json_or_null(report.request.max_regression)},
            {"resamples", report.request.n_resamples},
            {"seed", report.request.seed},
            {"regression", report.request.max_regression ? Json(report.regression) : Json(nullptr)},
            {"comparisons", Json::array()},
            {"warnings", Json::array()}};
  for (const Comparison& comparison : report.comparisons) json["comparisons"].push_back(comparison_json(comparison));
  for (const std::string& warning : report.warnings) json["warnings"].push_back(printable(warning));
  return json;
}

}  // namespace lmbits
