#include "src/report/correlate_figures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/core/json.h"
#include "src/report/huang2024_figures.h"

namespace lmbits {
namespace {

// Two areas, six models of two training runs, bits that fall as scores rise.
CompressionTable some_compression() {
  CompressionTable table;
  table.corpora = {"code", "prose"};
  table.family_kind = "training runs";
  for (int i = 0; i < 6; ++i) {
    const std::string model = (i % 2 == 0 ? "a-" : "b-") + std::to_string(i);
    for (const std::string& corpus : table.corpora) {
      Compression row;
      row.model = model;
      row.corpus = corpus;
      row.bits_per_byte = 2.0 - 0.1 * i + (corpus == "code" ? 0.0 : 0.3);
      row.ratio = 8.0 / *row.bits_per_byte;
      table.rows.push_back(row);
    }
    table.models[model] = {i % 2 == 0 ? "a" : "b", 1000.0 * (i + 1), std::nullopt};
  }
  return table;
}

std::vector<Score> some_scores() {
  std::vector<Score> scores;
  for (int i = 0; i < 6; ++i) {
    for (const char* area : {"code", "prose"})
      scores.push_back({(i % 2 == 0 ? "a-" : "b-") + std::to_string(i), std::string("cloze_") + area, area, "acc",
                        0.4 + 0.05 * i + 0.01 * (i % 3), 100, 0.04, ""});
  }
  return scores;
}

CorrelateReport some_report() {
  CorrelateRequest request;
  request.n_resamples = 100;
  request.n_permutations = 99;
  return correlate(some_compression(), {}, some_scores(), request);
}

TEST(CorrelateFigures, BandsAreStudentsAroundTheFittedLine) {
  const CorrelateReport report = some_report();
  const PanelResult& overall = report.panels[0];
  const Scatter scatter = scatter_of(overall, report.join->by, 0.9);
  ASSERT_TRUE(scatter.fit);
  const LinearFit& fit = *overall.association.fit;
  for (const FittedLine::At& at : scatter.fit->at) {
    EXPECT_DOUBLE_EQ(at.y, fit.at(at.x));
    EXPECT_DOUBLE_EQ(at.confidence->lo, line_interval(fit, at.x, 0.9)->lo);
    EXPECT_DOUBLE_EQ(at.prediction->hi, prediction_interval(fit, at.x, 0.9)->hi);
  }
  EXPECT_DOUBLE_EQ(scatter.fit->at.front().x, 1.65);
  EXPECT_DOUBLE_EQ(scatter.fit->at.back().x, 2.15);
  EXPECT_EQ(scatter.rho, overall.association.pearson.value);
  EXPECT_EQ(scatter.rmse, overall.association.rmse.value);
}

TEST(CorrelateFigures, BarsThroughPointsAreTheScoresIntervals) {
  const CorrelateReport report = some_report();
  const auto area = std::find_if(report.panels.begin(), report.panels.end(),
                                 [](const auto& p) { return p.panel.kind == PanelKind::kArea; });
  const Scatter scatter = scatter_of(*area, report.join->by, 0.95);
  ASSERT_TRUE(scatter.points[0].y_interval);
  EXPECT_NEAR(scatter.points[0].y_interval->hi - scatter.points[0].y, 1.959964 * 0.04, 1e-6);
  EXPECT_EQ(scatter.points[0].group, "a");
}

TEST(CorrelateFigures, AreTheOverviewAndEachAreaWithItsResiduals) {
  std::vector<std::string> names;
  for (const Figure& figure : correlate_figures(some_report())) names.push_back(figure.name);
  EXPECT_EQ(names, (std::vector<std::string>{"overview", "scatter_overall", "residuals_overall", "scatter_code",
                                             "residuals_code", "scatter_prose", "residuals_prose"}));
}

TEST(CorrelateFigures, TheSectionSaysEveryPanelAndItsWarnings) {
  const CorrelateReport report = some_report();
  const ReportSection section = correlate_section(report);
  EXPECT_EQ(section.paragraphs.size(), 4u);  // overall, two areas, corpora
  EXPECT_EQ(section.paragraphs[0].rfind("overall: ", 0), 0u);
  ASSERT_TRUE(section.table);
  EXPECT_EQ(section.table->rows.size(), report.panels.size());
  EXPECT_GE(section.warnings.size(), report.panels[0].warnings.size());
  const std::string markdown = to_markdown(RunReport{}, {section});
  EXPECT_NE(markdown.find("## Compression and scores\n\noverall: "), std::string::npos);
  EXPECT_EQ(to_json(RunReport{}, {section})["sections"][0]["rows"].size(), report.panels.size());
}

// The sentence names the numbers of its table: the corpus with the largest |r| of each row, and the own one's.
TEST(CorrelateFigures, TheSentenceOnCorporaIsItsTables) {
  CompressionTable table = some_compression();
  for (Compression& row : table.rows)  // prose's bits go with nothing much
    if (row.corpus == "prose") row.bits_per_byte = 2.0 + 0.1 * (row.model.back() % 3);
  CorrelateRequest request;
  request.n_resamples = 100;
  request.n_permutations = 99;
  const CorrelateReport report = correlate(table, {}, some_scores(), request);
  const ReportSection section = correlate_section(report);
  ASSERT_EQ(report.matrix.size(), 2u);
  const auto shown = [&](std::size_t row, std::size_t column) {
    return format_fixed(*report.matrix[row].cells[column].r, 3);
  };
  EXPECT_EQ(
      section.paragraphs[3],
      "Does the corpus matter? Scores of code go best with code, their own corpus (r = " + shown(0, 0) +
          "); of prose with code (r = " + shown(1, 0) + "; with their own corpus " + shown(1, 1) +
          "). A table below has every pair, with intervals; whether one r is larger than another it does not test.");
  ASSERT_EQ(section.more.size(), 1u);
  EXPECT_EQ(section.more[0].table.rows.size(), 2u);
  const std::string markdown = to_markdown(RunReport{}, {section});
  EXPECT_NE(markdown.find("### Does the corpus matter?"), std::string::npos);
  EXPECT_NE(markdown.find(shown(1, 1)), std::string::npos);
  EXPECT_EQ(to_json(RunReport{}, {section})["sections"][0]["more"][0]["rows"].size(), 2u);
}

// What the paper prints in its legends (Figures 1 and 2).
TEST(Huang2024Figures, SayWhatThePaperPrints) {
  const std::vector<Figure> figures = huang2024_figures(0.95);
  const auto svg_of = [&](const std::string& name) {
    const auto found = std::find_if(figures.begin(), figures.end(), [&](const Figure& f) { return f.name == name; });
    return found == figures.end() ? "no " + name : found->drawing.svg(Look::kInline);
  };
  struct Printed {
    const char *name, *rho, *rmse;
  };
  for (const auto& [name, rho, rmse] : {Printed{"huang2024_overall", "Pearson ρ = −0.931", "RMSE = 0.031"},
                                        {"huang2024_knowledge", "Pearson ρ = −0.935", "RMSE = 0.019"},
                                        {"huang2024_coding", "Pearson ρ = −0.937", "RMSE = 0.040"},
                                        {"huang2024_math", "Pearson ρ = −0.953", "RMSE = 0.031"}}) {
    for (const std::string& svg : {svg_of(name), svg_of("huang2024_overview")}) {
      EXPECT_NE(svg.find(rho), std::string::npos) << name;
      EXPECT_NE(svg.find(rmse), std::string::npos) << name;
    }
  }
  EXPECT_NE(svg_of("huang2024_math").find("not part of the fit"), std::string::npos);
  EXPECT_EQ(svg_of("huang2024_coding").find("not part of the fit"), std::string::npos);
}

}  // namespace
}  // namespace lmbits
