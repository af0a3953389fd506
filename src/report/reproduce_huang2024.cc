#include "src/report/reproduce_huang2024.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/published_tables.h"
#include "src/report/rank_report.h"
#include "src/stats/random.h"
#include "src/tasks/score_import.h"

namespace lmbits {
namespace {

struct AreaTable {
  const char* area;
  const char* corpus;
  const char* table;
};

constexpr AreaTable kAreas[] = {{"knowledge", "cc", "huang2024_table4_knowledge"},
                                {"coding", "python", "huang2024_table6_coding"},
                                {"math", "arxiv_math", "huang2024_table8_math"}};

// Half of the last digit that the tables print: scores in percent with one decimal, bits/char with three.
constexpr double kScoreHalfDigit = 0.0005, kBitsHalfDigit = 0.0005;

std::string fixed(double value, int decimals, bool sign = false) { return format_fixed(value, decimals, sign); }

// ---- the tables as compression and scores ----

CompressionTable compression() {
  CompressionTable all;
  for (const AreaTable& area : kAreas) {
    const CompressionTable one = compression_of_csv(published_table(area.table));
    all.rows.insert(all.rows.end(), one.rows.begin(), one.rows.end());
    all.models.insert(one.models.begin(), one.models.end());
    all.corpora.insert(all.corpora.end(), one.corpora.begin(), one.corpora.end());
    all.family_kind = one.family_kind;
  }
  return all;
}

std::vector<Score> scores_of(const CsvTable& csv, const std::string& area) {
  std::vector<Score> scores;
  const std::size_t model = *csv.find("model");
  for (std::size_t c = 0; c < csv.columns.size(); ++c) {
    const std::string& name = csv.columns[c];
    if (c == model || name == "average" || name == "delta" || name.starts_with("bpc_")) continue;
    for (const CsvRow& row : csv.rows)
      if (const auto percent = csv_number(csv, row, c))
        scores.push_back(
            {row.cells[model], name, area, "score", *percent / 100.0, std::nullopt, std::nullopt, csv.source});
  }
  return scores;
}

std::vector<Score> all_scores() {
  std::vector<Score> all;
  for (const AreaTable& area : kAreas)
    for (Score& score : scores_of(published_table(area.table), area.area)) all.push_back(std::move(score));
  return all;
}

JoinRequest request_for(const std::vector<Score>& scores, bool without_qwen) {
  JoinRequest request;
  request.by = CompressionMetric::kBitsPerChar;
  for (const AreaTable& area : kAreas)
    if (std::any_of(scores.begin(), scores.end(), [&](const Score& s) { return s.area == area.area; }))
      request.corpus_of_area[area.area] = area.corpus;
  if (without_qwen) request.leave_out = {"Qwen-7b", "Qwen-14b", "Qwen-72b"};
  return request;
}

// ---- one printed number ----

const Panel* find_panel(const ScoreJoin& join, PanelKind kind, const std::string& area, const std::string& benchmark) {
  for (const Panel& panel : join.panels)
    if (panel.kind == kind && panel.area == area && panel.benchmark == benchmark) return &panel;
  return nullptr;
}

// The panel that a row of the paper is about, with its corpus; nullopt where the tables lack its scores or its corpus.
std::optional<Panel> panel_of(const CompressionTable& table, const std::string& area, const std::string& benchmark,
                              const std::string& corpus, bool without_qwen) {
  std::vector<Score> scores = all_scores();
  const bool styles = benchmark == "mmlu_default_style";
  if (styles) scores = scores_of(published_table("huang2024_table11_mmlu_styles"), "knowledge");
  const ScoreJoin join = join_scores(table, scores, request_for(scores, without_qwen));
  const Panel* panel = area == "overall"        ? find_panel(join, PanelKind::kOverall, "", "")
                       : benchmark == "average" ? find_panel(join, PanelKind::kArea, area, "")
                                                : find_panel(join, PanelKind::kBenchmark, area,
                                                             styles                      ? "default_style"
                                                             : benchmark == "mmlu_cloze" ? "mmlu"
                                                                                         : benchmark);
  if (panel == nullptr) return std::nullopt;
  if (area == "overall") return *panel;
  if (std::find(table.corpora.begin(), table.corpora.end(), corpus) == table.corpora.end()) return std::nullopt;
  return mismatched(table, join, *panel, corpus);
}

// How many printed numbers a point's score is the mean of, by area.
double n_averaged(const Panel& panel, const ScoreJoin& join) {
  const auto benchmarks = [&](const std::string& area) {
    return static_cast<double>(std::count_if(join.panels.begin(), join.panels.end(), [&](const Panel& p) {
      return p.kind == PanelKind::kBenchmark && (area.empty() || p.area == area);
    }));
  };
  return !panel.benchmark.empty() ? 1.0 : benchmarks(panel.area);
}

bool rounds_to(double value, double printed) { return std::abs(std::round(value * 1000.0) / 1000.0 - printed) < 1e-9; }

// A mean of k printed numbers moves by the mean of k such moves.
std::optional<Rounding> rounding_of(const PanelColumns& columns, double k_scores, double k_corpora,
                                    const ReproducedFit& fit) {
  Random random(1, 0);
  const auto moved = [&](double value, double half_digit, double k) {
    double sum = 0.0;
    for (double i = 0.0; i < k; i += 1.0) sum += 2.0 * random.uniform() - 1.0;
    return value + half_digit * sum / k;
  };
  Rounding rounding{{1.0, -1.0}, {1e9, 0.0}};
  for (int table = 0; table < Rounding::kTables; ++table) {
    PanelColumns other = columns;
    for (double& x : other.x) x = moved(x, kBitsHalfDigit, k_corpora);
    for (double& y : other.y) y = moved(y, kScoreHalfDigit, k_scores);
    const auto line = fit_line(other.x, other.y);
    const auto r = correlation(Correlation::kPearson, other.x, other.y);
    if (!line || !r) return std::nullopt;
    rounding.r = {std::min(rounding.r.lo, *r), std::max(rounding.r.hi, *r)};
    rounding.rmse = {std::min(rounding.rmse.lo, line->rmse), std::max(rounding.rmse.hi, line->rmse)};
    rounding.n_as_printed += rounds_to(*r, fit.printed_r) && rounds_to(line->rmse, fit.printed_rmse);
  }
  return rounding;
}

std::string why_not_possible(const std::string& benchmark, const std::string& corpus) {
  if (corpus == "textbook") return "the paper prints no bits/char on textbooks";
  if (benchmark.starts_with("pal_")) return "the paper prints no scores of program-aided GSM8K";
  return "the tables do not hold it";
}

ReproducedFit reproduce_row(const CompressionTable& table, const CsvTable& csv, const CsvRow& row, double level) {
  const auto cell = [&](const char* column) { return row.cells[*csv.find(column)]; };
  ReproducedFit fit;
  const std::string area = cell("area"), benchmark = cell("benchmark"), corpus = cell("corpus");
  fit.source = cell("source");
  const auto its =
      std::find_if(std::begin(kAreas), std::end(kAreas), [&](const AreaTable& a) { return a.area == area; });
  const bool own_corpus = its != std::end(kAreas) && corpus == its->corpus;
  fit.what = area == "overall" ? area : area + " " + benchmark + (own_corpus ? "" : " on " + corpus);
  fit.printed_r = *csv_number(csv, row, *csv.find("pearson"));
  fit.printed_rmse = *csv_number(csv, row, *csv.find("rmse"));
  fit.without_qwen = cell("qwen_excluded") == "yes";
  const std::optional<Panel> panel = panel_of(table, area, benchmark, corpus, fit.without_qwen);
  if (!panel || panel->points.empty()) {
    fit.not_possible = why_not_possible(benchmark, corpus);
    return fit;
  }
  const PanelColumns columns = panel_columns(*panel);
  fit.n = columns.x.size();
  fit.r = correlation(Correlation::kPearson, columns.x, columns.y);
  if (const auto line = fit_line(columns.x, columns.y)) fit.rmse = line->rmse;
  if (fit.r) fit.interval = fisher_z_interval(Correlation::kPearson, *fit.r, fit.n, level);
  const double k_scores = n_averaged(*panel, huang2024_join()), k_corpora = static_cast<double>(panel->corpora.size());
  fit.rounding = rounding_of(columns, k_scores, k_corpora, fit);
  if (fit.without_qwen) {
    const PanelColumns all = panel_columns(*panel_of(table, area, benchmark, corpus, false));
    fit.r_with_qwen = correlation(Correlation::kPearson, all.x, all.y);
    if (const auto line = fit_line(all.x, all.y)) fit.rmse_with_qwen = line->rmse;
    fit.rounding_with_qwen = rounding_of(all, k_scores, k_corpora, fit);
  }
  return fit;
}

// ---- two sources of the same bits ----

PublishedAgreement agreement(const std::string& what, const std::map<std::string, double>& a,
                             const std::map<std::string, double>& b) {
  PublishedAgreement result;
  result.what = what;
  std::vector<double> x, y;
  for (const auto& [model, value] : a) {
    const auto other = b.find(model);
    if (other == b.end()) continue;
    x.push_back(value);
    y.push_back(other->second);
    const double difference = other->second - value;
    result.mean_difference += difference;
    if (result.largest_model.empty() || std::abs(difference) > std::abs(result.largest_difference)) {
      result.largest_difference = difference;
      result.largest_model = model;
    }
  }
  result.n = x.size();
  if (result.n > 0) result.mean_difference /= static_cast<double>(result.n);
  result.tau = correlation(Correlation::kKendall, x, y).value_or(0.0);
  return result;
}

std::map<std::string, double> column_by_model(const std::string& table, const std::string& column,
                                              bool open_compass_names = false) {
  // OpenCompass calls the first Llama "llama-7b"; the authors "Llama-1-7b". Case differs too.
  const CsvTable csv = published_table(table);
  std::map<std::string, double> values;
  for (const CsvRow& row : csv.rows) {
    std::string model = row.cells[*csv.find("model")];
    for (char& c : model) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (model.starts_with("qwen-1.5")) model = "qwen1.5" + model.substr(8);
    if (open_compass_names && model.starts_with("llama-") && !model.starts_with("llama-2"))
      model = "llama-1" + model.substr(5);
    if (const auto value = csv_number(csv, row, *csv.find(column))) values[model] = *value;
  }
  return values;
}

}  // namespace

bool ReproducedFit::same_digits() const {
  return r && rmse && rounds_to(*r, printed_r) && rounds_to(*rmse, printed_rmse);
}

bool ReproducedFit::explained_by_rounding() const { return rounding && rounding->n_as_printed > 0; }

ScoreJoin huang2024_join(bool without_qwen) {
  const std::vector<Score> scores = all_scores();
  return join_scores(compression(), scores, request_for(scores, without_qwen));
}

Huang2024 reproduce_huang2024(double level) {
  Huang2024 report;
  report.level = level;
  const CompressionTable table = compression();
  const CsvTable printed = published_table("huang2024_reported_correlations");
  for (const CsvRow& row : printed.rows) report.fits.push_back(reproduce_row(table, printed, row, level));
  report.agreements.push_back(agreement("bits/char on cc: three redraws (Table 10) against Table 4",
                                        column_by_model("huang2024_table4_knowledge", "bpc_cc"),
                                        column_by_model("huang2024_table10_cc_resampling", "bpc_mean_of_3")));
  for (const AreaTable& area : kAreas)
    report.agreements.push_back(
        agreement(std::string("bits/char on ") + area.corpus + ": OpenCompass' rerun against the authors' leaderboard",
                  column_by_model("huang2024_readme_leaderboard", std::string("bpc_") + area.corpus),
                  column_by_model("opencompass_llm_compression_bpc", std::string("bpc_") + area.corpus, true)));
  return report;
}

// ---- renderings ----

namespace {

std::string verdict(const ReproducedFit& fit) {
  return !fit.not_possible.empty()     ? "not possible"
         : fit.same_digits()           ? "same digits"
         : fit.explained_by_rounding() ? "within rounding"
                                       : "differs";
}

const char* mark(const ReproducedFit& fit) {
  return !fit.not_possible.empty() ? "" : fit.same_digits() ? "=" : fit.explained_by_rounding() ? "≈" : "≠";
}

Table fits_table(const Huang2024& report, bool people) {
  Table table;
  table.columns = {{.key = "source", .title = "source", .align = Align::kLeft, .audience = Audience::kMachines},
                   {.key = "what", .title = "scores and corpus", .align = Align::kLeft},
                   {.key = "n", .title = "n"},
                   {.key = "printed_r", .title = "r print", .decimals = 3},
                   {.key = "r", .title = "computed", .decimals = 3},
                   {.key = "r_interval",
                    .title = "[" + percent_as_given(report.level) + "]",
                    .decimals = 3,
                    .interval = true,
                    .joined = true},
                   {.key = "r_difference", .title = "diff", .decimals = 3, .sign = true},
                   {.key = "printed_rmse", .title = "RMSE", .decimals = 3},
                   {.key = "rmse", .title = "computed", .decimals = 3},
                   {.key = "rmse_difference", .title = "diff", .decimals = 3, .sign = true},
                   {.key = "verdict", .title = "", .audience = Audience::kMachines},
                   {.key = "", .title = "", .align = Align::kLeft, .audience = Audience::kPeople}};
  for (const char* key : {"r_rounding", "rmse_rounding"})
    table.columns.push_back({.key = key, .title = key, .audience = Audience::kMachines, .interval = true});
  for (const char* key : {"share_as_printed", "share_as_printed_with_qwen"})
    table.columns.push_back({.key = key, .title = key, .audience = Audience::kMachines});
  table.columns.push_back({.key = "not_possible", .title = "", .audience = Audience::kMachines});
  for (const ReproducedFit& fit : report.fits) {
    const auto difference = [](const std::optional<double>& computed, double printed) {
      return computed ? Cell(*computed - printed) : Cell(std::monostate{});
    };
    const auto rounding = [&](Interval Rounding::*range) {
      return fit.rounding ? Cell((*fit.rounding).*range) : Cell(std::monostate{});
    };
    const auto share = [](const std::optional<Rounding>& tables) {
      return tables ? Cell(tables->share()) : Cell(std::monostate{});
    };
    table.rows.push_back(
        {{fit.source, fit.what + (people && fit.without_qwen ? " *" : ""),
          fit.n > 0 ? Cell(static_cast<std::int64_t>(fit.n)) : Cell(std::monostate{}), fit.printed_r, cell_of(fit.r),
          cell_of(fit.interval), difference(fit.r, fit.printed_r), fit.printed_rmse, cell_of(fit.rmse),
          difference(fit.rmse, fit.printed_rmse), verdict(fit), std::string(mark(fit)), rounding(&Rounding::r),
          rounding(&Rounding::rmse), share(fit.rounding), share(fit.rounding_with_qwen),
          fit.not_possible.empty() ? Cell(std::monostate{}) : Cell(fit.not_possible)},
         !fit.not_possible.empty()                          ? Emphasis::kFaint
         : fit.explained_by_rounding() || fit.same_digits() ? Emphasis::kNone
                                                            : Emphasis::kStrong});
  }
  return table;
}

// What the tables say of a fit that they do not explain.
std::string difference_words(const ReproducedFit& fit) {
  const std::string n = with_thousands(Rounding::kTables);
  std::string text = fit.what + " (" + fit.source + ", n = " + std::to_string(fit.n) + "): printed " +
                     fixed(fit.printed_r, 3) + " and " + fixed(fit.printed_rmse, 3) + "; the tables have " +
                     fixed(*fit.r, 4) + " and " + fixed(*fit.rmse, 4) + ". None of " + n +
                     " tables that would be printed alike has the printed numbers (r from " +
                     fixed(fit.rounding->r.lo, 4) + " to " + fixed(fit.rounding->r.hi, 4) + ")";
  if (!fit.rounding_with_qwen) return text;
  const double share = fit.rounding_with_qwen->share();
  text += ". With Qwen left in they have " + fixed(*fit.r_with_qwen, 4) + " and " + fixed(*fit.rmse_with_qwen, 4) +
          ", and " + fixed(100.0 * share, 0) + " % of such tables have the printed numbers";
  return text + (share > 0.01 ? ": this row of the paper seems to include Qwen, unlike those around it" : "");
}

std::string summary(const Huang2024& report) {
  std::size_t same = 0, rounding = 0, differ = 0, not_possible = 0;
  for (const ReproducedFit& fit : report.fits) {
    if (!fit.not_possible.empty())
      ++not_possible;
    else if (fit.same_digits())
      ++same;
    else if (fit.explained_by_rounding())
      ++rounding;
    else
      ++differ;
  }
  const std::size_t possible = report.fits.size() - not_possible;
  return "Of " + std::to_string(report.fits.size()) + " printed fits " + std::to_string(possible) +
         " can be computed from the tables: " + std::to_string(same) + " agree in all printed digits, " +
         std::to_string(rounding) + " within what the tables' own rounding leaves open, " +
         (differ == 0 ? "none differs."
                      : std::to_string(differ) + (differ == 1 ? " differs" : " differ") + " by more.");
}

}  // namespace

std::string to_text(const Huang2024& report, const TextStyle& style) {
  std::string text =
      "Huang et al. 2024, \"Compression Represents Intelligence Linearly\" (arXiv:2404.09937v2): bits/char against "
      "scores\n" +
      to_text(fits_table(report, true), style) + "\n" + wrapped(summary(report), style.width, 0);
  for (const ReproducedFit& fit : report.fits) {
    if (!fit.not_possible.empty())
      text += wrapped("  not possible: " + fit.what + " (" + fit.source + "): " + fit.not_possible, style.width, 4);
    else if (!fit.same_digits() && !fit.explained_by_rounding())
      text += wrapped("  ! " + difference_words(fit), style.width, 4);
  }
  text += "\nHow stable are the bits themselves?\n";
  for (const PublishedAgreement& a : report.agreements)
    text += wrapped("  " + a.what + ": " + counted(static_cast<std::int64_t>(a.n), "model") + ", mean difference " +
                        fixed(a.mean_difference, 4, true) + ", largest " + fixed(a.largest_difference, 4, true) + " (" +
                        a.largest_model + "), order tau " + fixed(a.tau, 2),
                    style.width, 4);
  return text + "\n" +
         wrapped(
             "* without Qwen 7b, 14b and 72b, as the paper fits maths. RMSE divides by n, scores on 0-1; overall is "
             "the mean of the three areas' means "
             "over the mean of the three bits/char. = both numbers as printed; ≈ both are within what "
             "is left open by tables with one decimal of a "
             "percent and three of bits/char (they are those of at least one of 10,000 random tables that would be "
             "printed alike); "
             "≠ of none. "
             "Interval: Fisher's z, which takes models for "
             "independent; they are not.",
             style.width, 0);
}

std::string to_csv(const Huang2024& report) { return to_csv(fits_table(report, false)); }

Json to_json(const Huang2024& report) {
  Json json{{"schema", 1},
            {"name", "huang2024"},
            {"level", report.level},
            {"fits", to_json(fits_table(report, false))},
            {"agreements", Json::array()}};
  for (const PublishedAgreement& a : report.agreements)
    json["agreements"].push_back({{"what", a.what},
                                  {"n", a.n},
                                  {"mean_difference", a.mean_difference},
                                  {"largest_difference", a.largest_difference},
                                  {"largest_model", a.largest_model},
                                  {"tau", a.tau}});
  return json;
}

}  // namespace lmbits
