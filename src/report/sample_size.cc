#include "src/report/sample_size.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "src/core/json.h"
#include "src/report/pairing.h"
#include "src/report/rank_report.h"

namespace lmbits {
namespace {

// Two significant digits: a settling point is not known better.
std::string rounded(double chars) {
  const double unit = std::max(1.0, std::pow(10.0, std::floor(std::log10(std::max(chars, 1.0))) - 1.0));
  return with_thousands(std::llround(chars / unit) * std::llround(unit));
}

std::string spread_text(const Spread& spread, double scale) {
  return rounded(scale * spread.median) + " (" + rounded(scale * spread.range.lo) + " to " +
         rounded(scale * spread.range.hi) + ")";
}

// The scores that go with a corpus: model -> y, of the area whose only corpus it is.
const Panel* area_of(const ScoreJoin& join, const std::string& corpus) {
  for (const Panel& panel : join.panels)
    if (panel.kind == PanelKind::kArea && panel.corpora == std::vector<std::string>{corpus}) return &panel;
  return nullptr;
}

void warn(SampleSizeCurve& curve) {
  const Settling& s = curve.settling;
  if (curve.unit == "block")
    curve.warnings.push_back("fewer than 10 documents: blocks of about " +
                             rounded(s.weight * curve.chars_per_byte / static_cast<double>(curve.n_units)) +
                             " characters are reordered: no finer answer than that, and nothing about other documents");
  const bool r_late = s.r_settled && s.r_settled->median > 0.5 * s.weight;
  if (r_late || s.order_settled.median > 0.5 * s.weight)
    curve.warnings.push_back(std::string(r_late ? "r" : "the order") +
                             " settles in the second half of the text only, where it must: this text is too short to "
                             "tell how much is needed");
}

SampleSizeCurve curve_of(const std::string& corpus, std::vector<const Run*> runs, const Panel* panel,
                         const SettlingOptions& options) {
  SampleSizeCurve curve;
  curve.corpus = corpus;
  std::vector<double> y;
  if (panel != nullptr) {
    std::map<std::string, double> scores;
    for (const JoinedPoint& point : panel->points) scores[point.model] = point.y;
    std::erase_if(runs, [&](const Run* run) { return scores.count(model_name(*run)) == 0; });
    for (const Run* run : runs) y.push_back(scores.at(model_name(*run)));
    curve.area = panel->area;
  }
  curve.n_models = runs.size();
  if (runs.size() < 2) return curve;
  const Pairing pairing = pair_runs(runs, Metric::kBitsPerByte);
  if (pairing.groups.size() > 1) return curve;
  const PairedGroup& group = pairing.groups[0];
  curve.unit = group.blocks ? "block" : "document";
  curve.n_units = group.units.weight.size();
  if (curve.n_units < 2) return curve;
  double n_bytes = 0.0, n_chars = 0.0;
  for (const DocumentRecord* record : group.documents[0]) {
    n_bytes += static_cast<double>(record->n_bytes);
    n_chars += static_cast<double>(record->n_chars);
  }
  curve.chars_per_byte = n_chars / n_bytes;
  curve.settling = settle(group.units, y, options);
  warn(curve);
  return curve;
}

Table curve_table(const SampleSizeCurve& curve, const SettlingOptions& options) {
  const std::string level = "[" + percent_as_given(options.level) + "]";
  Table table;
  table.columns = {{.key = "n_chars", .title = "characters"}};
  if (curve.settling.r) {
    table.columns.push_back({.key = "r", .title = "r", .decimals = 3, .sign = true});
    table.columns.push_back(
        {.key = "r_interval", .title = level, .decimals = 3, .sign = true, .interval = true, .joined = true});
  }
  table.columns.push_back({.key = "tau", .title = "τ with the final order", .decimals = 3});
  table.columns.push_back({.key = "tau_interval", .title = level, .decimals = 3, .interval = true, .joined = true});
  for (const SettlingPoint& point : curve.settling.curve) {
    TableRow row{{static_cast<std::int64_t>(std::llround(point.weight * curve.chars_per_byte))}};
    if (curve.settling.r) {
      row.cells.push_back(point.r->median);
      row.cells.push_back(point.r->range);
    }
    row.cells.push_back(point.tau.median);
    row.cells.push_back(point.tau.range);
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string in_words(const SampleSizeCurve& curve, const SettlingOptions& options, std::size_t width) {
  const Settling& s = curve.settling;
  std::string text;
  if (s.r_settled)
    text += "r with the scores of " + curve.area + " stays within " + format_fixed(options.r_tolerance, 2) +
            " of its final " + format_fixed(*s.r, 3) + " after " + spread_text(*s.r_settled, curve.chars_per_byte) +
            " characters. ";
  text += "The order of the models stays as at the end (tau " + format_fixed(1.0 - options.tau_tolerance, 2) +
          " or more) after " + spread_text(s.order_settled, curve.chars_per_byte) + " characters.";
  if (s.r_by_text)
    text += " Other text of this kind and size would give r from " + format_fixed(s.r_by_text->lo, 3) + " to " +
            format_fixed(s.r_by_text->hi, 3) +
            ": that is the text's share of the uncertainty; the models' is in `lmbits correlate`.";
  return wrapped(text, width, 0);
}

}  // namespace

SampleSizeReport sample_size(const std::vector<Run>& runs, const std::string& convention,
                             const std::vector<Score>& scores, const JoinRequest& join,
                             const SettlingOptions& options) {
  SampleSizeReport report;
  report.options = options;
  const CompressionTable table = compression_of_runs(runs, convention);
  std::optional<ScoreJoin> joined;
  if (!scores.empty()) {
    joined = join_scores(table, scores, join);
    report.notes = joined->notes;
  }
  for (const std::string& corpus : table.corpora) {
    std::vector<const Run*> members;
    for (const Run& run : runs) {
      if (!run.summary.is_null() && corpus_name(run) == corpus &&
          (convention.empty() || convention_name(run) == convention))
        members.push_back(&run);
    }
    SampleSizeCurve curve = curve_of(corpus, members, joined ? area_of(*joined, corpus) : nullptr, options);
    if (curve.settling.curve.empty())
      report.notes.push_back(corpus + " is left out: it takes two models and two pieces of text that they cut alike");
    else
      report.curves.push_back(std::move(curve));
  }
  return report;
}

std::string to_text(const SampleSizeReport& report, const TextStyle& style) {
  std::string text =
      "How much text do I need? " + with_thousands(report.options.n_orders) + " random orders of the text\n\n";
  for (const SampleSizeCurve& curve : report.curves) {
    text += printable(curve.corpus) + " · " + counted(static_cast<std::int64_t>(curve.n_models), "model") + " · " +
            counted(static_cast<std::int64_t>(curve.n_units), curve.unit) + " · " +
            with_thousands(std::llround(curve.settling.weight * curve.chars_per_byte)) + " characters\n";
    text += in_words(curve, report.options, style.width);
    for (const std::string& warning : curve.warnings) text += wrapped("  ! " + warning, style.width, 4);
    text += to_text(curve_table(curve, report.options), style) + "\n";
  }
  for (const std::string& note : report.notes) text += wrapped("! " + printable(note), style.width, 2);
  return text +
         wrapped("A number is the median over the orders, in parentheses or brackets the central " +
                     percent_as_given(report.options.level) +
                     ". Huang et al. 2024 saw r saturate near 3 million characters, with larger models and web text.",
                 style.width, 0);
}

Json to_json(const SampleSizeReport& report) {
  Json json{{"schema", 1},
            {"name", "sample-size"},
            {"level", report.options.level},
            {"r_tolerance", report.options.r_tolerance},
            {"tau_tolerance", report.options.tau_tolerance},
            {"n_orders", report.options.n_orders},
            {"seed", report.options.seed},
            {"curves", Json::array()},
            {"notes", report.notes}};
  for (const SampleSizeCurve& curve : report.curves) {
    const auto chars = [&](const Spread& spread) {
      return Json{{"median", spread.median * curve.chars_per_byte},
                  {"interval", {spread.range.lo * curve.chars_per_byte, spread.range.hi * curve.chars_per_byte}}};
    };
    json["curves"].push_back(
        {{"corpus", printable(curve.corpus)},
         {"area", curve.area.empty() ? Json(nullptr) : Json(printable(curve.area))},
         {"n_models", curve.n_models},
         {"n_units", curve.n_units},
         {"unit", curve.unit},
         {"n_chars", curve.settling.weight * curve.chars_per_byte},
         {"r", to_json_or_null(curve.settling.r)},
         {"r_settled_chars", curve.settling.r_settled ? chars(*curve.settling.r_settled) : Json(nullptr)},
         {"order_settled_chars", chars(curve.settling.order_settled)},
         {"r_by_text", to_json(curve.settling.r_by_text)},
         {"curve", to_json(curve_table(curve, report.options))},
         {"warnings", curve.warnings}});
  }
  return json;
}

}  // namespace lmbits
