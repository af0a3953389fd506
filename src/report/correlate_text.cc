// A CorrelateReport for people: the terminal and markdown.
#include <algorithm>

#include "src/core/error.h"
#include "src/core/suggest.h"
#include "src/report/correlate_report.h"
#include "src/report/correlate_tables.h"
#include "src/report/correlate_words.h"
#include "src/report/rank_report.h"
#include "src/report/text_scatter.h"

namespace lmbits {
namespace {

std::string bold(const std::string& text, const TextStyle& style) {
  return style.color ? "\x1b[1m" + text + "\x1b[0m" : text;
}

std::string warned(const std::vector<std::string>& warnings, const std::string& mark, const TextStyle& style) {
  std::string text;
  for (const std::string& warning : warnings) text += wrapped(mark + printable(warning), style.width, mark.size());
  return text;
}

const PanelResult& detailed(const CorrelateReport& report, const std::string& name) {
  std::vector<std::string> known;
  for (const PanelResult& result : report.panels) {
    known.push_back(panel_name(result.panel));
    if (!result.panel.benchmark.empty()) known.push_back(result.panel.benchmark);
    if (name.empty() || panel_name(result.panel) == name || result.panel.benchmark == name) return result;
  }
  throw Error(ErrorKind::kUsage, "--detail " + name + ": no such panel", suggestion(name, known));
}

std::string detail_text(const CorrelateReport& report, const std::string& name, const TextStyle& style) {
  const PanelResult& result = detailed(report, name);
  const Association& a = result.association;
  std::string text = bold(printable(panel_name(result.panel)), style) + " · " + metric_words(report.join->by) + " of " +
                     corpora_text(result.panel) + " · " + counted(static_cast<std::int64_t>(a.n), "model") +
                     (a.n_clusters == 1    ? ", all of one family"
                      : a.n_clusters < a.n ? ", " + std::to_string(a.n_clusters) + " " + report.family_kind
                                           : "") +
                     "\n";
  text += wrapped(panel_words(result, report.join->by, report.request.level), style.width, 0);
  text += warned(result.warnings, "  ! ", style) + "\n";
  const std::string picture = text_scatter(result, report.join->by, style.width);
  if (!picture.empty()) text += picture + "\n";
  text += to_text(estimates_table(a, report.family_kind), style);
  text += wrapped(tests_line(a, report.request.level), style.width, 0);
  text += wrapped(influence_line(result), style.width, 0) + "\n";
  return text + to_text(models_table(result, report), style) + "\n";
}

std::string matrix_text(const CorrelateReport& report, const TextStyle& style) {
  if (report.matrix.empty()) return {};
  return bold("does the corpus matter?", style) + " · r of an area's scores with each corpus\n" +
         to_text(matrix_table(report), style) + "\n";
}

std::string gzip_text(const CorrelateReport& report, const TextStyle& style) {
  if (report.gzip.empty() && report.gzip_documents.empty()) return {};
  std::string text =
      bold("model ratio against gzip ratio", style) + " · raw bytes / compressed bytes, higher is better\n";
  if (!report.gzip.empty()) text += to_text(gzip_table(report), style);
  if (!report.gzip_documents.empty()) text += to_text(gzip_documents_table(report), style);
  const std::string words = gzip_words(report);
  return text + (words.empty() ? "" : wrapped(words, style.width, 0)) + "\n";
}

// Warnings of the panels that are not shown in detail.
std::string other_warnings(const CorrelateReport& report, const std::string& detail, const TextStyle& style) {
  if (report.panels.empty()) return {};
  const PanelResult& shown = detailed(report, detail);
  std::string text;
  for (const PanelResult& result : report.panels) {
    if (&result == &shown) continue;
    for (const std::string& warning : result.warnings) {
      const bool said = std::find(shown.warnings.begin(), shown.warnings.end(), warning) != shown.warnings.end();
      if (said || is_common(warning) || result.panel.kind == PanelKind::kBenchmark) continue;
      text += wrapped("  ! " + panel_name(result.panel) + ": " + printable(warning), style.width, 4);
    }
  }
  return text;
}

std::string legend(const CorrelateReport& report, const TextStyle& style) {
  const CorrelateRequest& request = report.request;
  std::string text =
      "↓ lower is better, ↑ higher is better. r Pearson, ρ Spearman, τ Kendall's τ-b; RMSE divides by n. ";
  text += "Intervals at " + percent_as_given(request.level) + ": Fisher's z for r, ρ, τ";
  if (!report.panels.empty())
    text +=
        ", Student's t for the line, chi² for RMSE; BCa and percentile: " + with_thousands(request.n_resamples) +
        " bootstrap resamples of models (seed " + std::to_string(request.seed) +
        "). p: permutations of the scores, two-sided. An interval is about models like these, and says nothing of why";
  if (!report.gzip_documents.empty())
    text +=
        "; over documents, which it takes for independent. given size: r with the documents' log bytes held fixed, "
        "since short ones compress badly for everyone";
  return wrapped(text + ".", style.width, 0);
}

}  // namespace

std::string to_text(const CorrelateReport& report, const std::string& detail, const TextStyle& style) {
  std::string text;
  if (!report.panels.empty()) {
    text += bold(heading(report), style) + "\n" + to_text(panels_table(report), style);
    text += other_warnings(report, detail, style) + "\n";
    text += detail_text(report, detail, style);
    text += matrix_text(report, style);
  }
  text += gzip_text(report, style);
  text += warned(all_notes(report), "! ", style);
  return text + legend(report, style);
}

std::string to_markdown(const CorrelateReport& report) {
  std::string text;
  if (report.join) {
    text += "### " + heading(report) + "\n\n" + to_markdown(panels_table(report)) + "\n";
    for (const PanelResult& result : report.panels) {
      text += "#### " + panel_name(result.panel) + "\n\n" + panel_words(result, report.join->by, report.request.level) +
              "\n\n";
      for (const std::string& warning : result.warnings) text += "- " + printable(warning) + "\n";
      text += (result.warnings.empty() ? "" : "\n") +
              to_markdown(estimates_table(result.association, report.family_kind)) + "\n";
      text += tests_line(result.association, report.request.level) + "\n\n" + influence_line(result) + "\n\n" +
              to_markdown(models_table(result, report)) + "\n";
    }
  }
  if (!report.matrix.empty()) text += "#### does the corpus matter?\n\n" + to_markdown(matrix_table(report)) + "\n";
  if (!report.gzip.empty()) text += "#### model ratio against gzip ratio\n\n" + to_markdown(gzip_table(report)) + "\n";
  if (!report.gzip_documents.empty()) text += to_markdown(gzip_documents_table(report)) + "\n";
  for (const std::string& note : all_notes(report)) text += "- " + printable(note) + "\n";
  return text;
}

}  // namespace lmbits
