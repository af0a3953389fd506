#include "src/nightly/night_report.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "src/core/json.h"
#include "src/report/history_points.h"
#include "src/report/plot.h"
#include "src/report/svg.h"
#include "src/report/table.h"

namespace lmbits {
namespace {

constexpr double kWidth = 760.0, kHeight = 360.0;  // px

std::string percent(double share) { return format_fixed(100.0 * share, 3, true) + " %"; }

// A label's value in Prometheus' text format.
std::string label(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string place_of(const Comparison& comparison) { return comparison.corpus.empty() ? "overall" : comparison.corpus; }

bool is_regression(const Comparison& comparison) { return comparison.gate && comparison.gate->regression; }

std::string in_words(const Comparison& c) {
  std::string text = place_of(c) + ": bits/byte " + format_fixed(c.base, 4) + " -> " + format_fixed(c.next, 4) + ", " +
                     percent(c.relative);
  if (c.gate && c.gate->interval)
    text += " [" + percent(c.gate->interval->lo) + ", " + percent(c.gate->interval->hi) + "]";
  return text;
}

Figure trend(const NightReport& report, const std::string& corpus) {
  struct At {
    const JudgedModel* model;
    const HistoryRun* run;
  };
  std::vector<At> runs;
  for (const JudgedModel& model : report.models) {
    for (const HistoryRun& run : model.runs) {
      if (run.corpus == corpus && run.bits_per_byte) runs.push_back({&model, &run});
    }
  }
  std::stable_sort(runs.begin(), runs.end(), [](const At& a, const At& b) { return a.run->started < b.run->started; });
  std::map<std::string, std::pair<PointSeries, LineSeries>> series;  // by training run
  for (std::size_t k = 0; k < runs.size(); ++k) {
    auto& [points, line] = series[runs[k].model->training_run];
    const HistoryRun& run = *runs[k].run;
    PlotPoint point = point_of(run, k + 1);
    for (const Judgement& judgement : report.judgements) {
      if (judgement.model_fingerprint == run.model_fingerprint && judgement.regression()) {
        point.hollow = true;
        point.label = run.model;
      }
    }
    points.points.push_back(point);
    line.points.push_back(point.at);
  }
  Plot plot;
  plot.title = corpus + ": bits/byte, as the checkpoints came";
  plot.x.title = "checkpoint, in the order of scoring";
  plot.y.title = "bits/byte";
  int colour = 0;
  for (auto& [name, of_run] : series) {
    of_run.first.name = series.size() <= 24 ? name : "";
    of_run.first.colour = of_run.second.colour = colour++;
    plot.points.push_back(of_run.first);
    plot.lines.push_back(of_run.second);
  }
  Drawing drawing(kWidth, kHeight, plot.title);
  if (!runs.empty()) draw_plot(drawing, {0, 0, kWidth, kHeight}, plot);
  return Figure{
      "trend_" + file_stem(corpus), plot.title,
      "Bars are each run's own interval; judgements rest on paired differences, which are much surer. Hollow: "
      "a regression found tonight.",
      drawing};
}

}  // namespace

std::string to_text(const NightReport& report) {
  std::string text = "night of " + report.night + ": " + std::to_string(report.scored.size()) + " new, " +
                     std::to_string(report.waiting.size()) + " waiting, " + std::to_string(report.failures.size()) +
                     " failed\n";
  for (const std::string& note : report.notes) text += "  ! " + note + "\n";
  for (const WatchedCheckpoint& checkpoint : report.waiting)
    text += "  waiting   " + checkpoint.path + ": " + checkpoint.waiting + "\n";
  for (const std::string& failure : report.failures) text += "  failed    " + failure + "\n";
  for (const Judgement& judgement : report.judgements) {
    text += judgement.regression() ? "  REGRESSED " : "  ok        ";
    text += judgement.model + (judgement.baseline.empty() ? "" : " against " + judgement.baseline) + "\n";
    if (judgement.report) {
      for (const Comparison& comparison : judgement.report->comparisons) {
        text += std::string("            ") + (is_regression(comparison) ? "! " : "  ") + in_words(comparison) + "\n";
      }
    }
    for (const std::string& warning : judgement.warnings) text += "            ! " + warning + "\n";
    if (!judgement.best_on.empty()) {
      text += "              best so far on";
      for (const std::string& corpus : judgement.best_on) text += " " + corpus;
      text += "\n";
    }
  }
  return text;
}

Json to_json(const NightReport& report) {
  Json json = {{"schema", 1},
               {"night", report.night},
               {"exit_code", report.exit_code},
               {"wall_s", report.wall_s},
               {"scored", report.scored},
               {"waiting", Json::array()},
               {"failures", report.failures},
               {"notes", report.notes},
               {"judgements", Json::array()}};
  for (const WatchedCheckpoint& checkpoint : report.waiting)
    json["waiting"].push_back({{"path", checkpoint.path}, {"why", checkpoint.waiting}});
  for (const Judgement& judgement : report.judgements) json["judgements"].push_back(to_json(judgement));
  return json;
}

std::string to_junit(const NightReport& report) {
  std::string cases;
  int n_cases = 0, n_failures = 0, n_errors = 0;
  const auto add = [&](const std::string& model, const std::string& place, const std::string& body) {
    cases += "  <testcase classname=\"" + escape_xml(model) + "\" name=\"" + escape_xml(place) + "\"";
    cases += body.empty() ? "/>\n" : ">" + body + "</testcase>\n";
    ++n_cases;
  };
  for (const Judgement& judgement : report.judgements) {
    if (!judgement.report) {
      add(judgement.model, "baseline",
          "<skipped message=\"" + escape_xml(judgement.warnings.empty() ? "no baseline" : judgement.warnings[0]) +
              "\"/>");
      continue;
    }
    for (const Comparison& comparison : judgement.report->comparisons) {
      std::string body;
      if (is_regression(comparison)) {
        body =
            "<failure message=\"" + escape_xml("against " + judgement.baseline + ", " + in_words(comparison)) + "\"/>";
        ++n_failures;
      }
      add(judgement.model, place_of(comparison), body);
    }
  }
  for (const std::string& failure : report.failures) {
    add(failure.substr(0, failure.find(": ")), "scored", "<error message=\"" + escape_xml(failure) + "\"/>");
    ++n_errors;
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"lmbits nightly\" timestamp=\"" +
         escape_xml(report.night) + "\" tests=\"" + std::to_string(n_cases) + "\" failures=\"" +
         std::to_string(n_failures) + "\" errors=\"" + std::to_string(n_errors) + "\" time=\"" +
         format_fixed(report.wall_s, 3) + "\">\n" + cases + "</testsuite>\n";
}

std::string to_prometheus(const NightReport& report) {
  std::string text;
  const auto family = [&](const char* name, const char* help) {
    text += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " gauge\n";
  };
  const auto number = [](double value) {
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.17g", value);
    return std::string(digits);
  };
  family("lmbits_bits_per_byte", "Sum of -log2 p over bytes of the source.");
  for (const JudgedModel& model : report.models) {
    for (const HistoryRun& run : model.runs) {
      if (!run.bits_per_byte) continue;
      text += "lmbits_bits_per_byte{model=\"" + label(run.model) + "\",corpus=\"" + label(run.corpus) +
              "\",training_run=\"" + label(model.training_run) + "\"} " + number(*run.bits_per_byte) + "\n";
    }
  }
  family("lmbits_regression", "1 where a checkpoint judged tonight got worse than its baseline.");
  for (const Judgement& judgement : report.judgements) {
    text += "lmbits_regression{model=\"" + label(judgement.model) + "\",baseline=\"" + label(judgement.baseline) +
            "\"} " + (judgement.regression() ? "1" : "0") + "\n";
  }
  family("lmbits_nightly_exit_code", "As documented; 0, 9 where a regression was found, 10 where something failed.");
  text += "lmbits_nightly_exit_code " + std::to_string(report.exit_code) + "\n";
  family("lmbits_nightly_checkpoints", "Checkpoints by what became of them tonight.");
  text += "lmbits_nightly_checkpoints{state=\"scored\"} " + std::to_string(report.scored.size()) + "\n";
  text += "lmbits_nightly_checkpoints{state=\"waiting\"} " + std::to_string(report.waiting.size()) + "\n";
  text += "lmbits_nightly_checkpoints{state=\"failed\"} " + std::to_string(report.failures.size()) + "\n";
  family("lmbits_nightly_duration_seconds", "Wall time of the night.");
  text += "lmbits_nightly_duration_seconds " + number(report.wall_s) + "\n";
  return text;
}

std::vector<ReportSection> to_sections(const NightReport& report) {
  ReportSection tonight;
  tonight.title = "Night of " + report.night;
  tonight.warnings = report.notes;
  tonight.warnings.insert(tonight.warnings.end(), report.failures.begin(), report.failures.end());
  for (const WatchedCheckpoint& checkpoint : report.waiting)
    tonight.paragraphs.push_back(checkpoint.path + " waits: " + checkpoint.waiting);
  if (report.judgements.empty()) tonight.paragraphs.push_back("No new checkpoint was judged.");
  Table table;
  table.columns = {{.key = "model", .title = "checkpoint", .align = Align::kLeft},
                   {.key = "baseline", .title = "against", .align = Align::kLeft},
                   {.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "verdict", .title = "verdict", .align = Align::kLeft},
                   {.key = "bits_per_byte", .title = "bits/byte ↓"},
                   {.key = "relative", .title = "change, %", .decimals = 3, .sign = true},
                   {.key = "interval", .title = "at the alarm's level", .decimals = 3, .sign = true, .interval = true}};
  for (const Judgement& judgement : report.judgements) {
    if (!judgement.report) {
      table.rows.push_back({{judgement.model, std::string("—"), std::string("—"), std::string("first"), {}, {}, {}}});
      continue;
    }
    for (const Comparison& c : judgement.report->comparisons) {
      Cell interval;
      if (c.gate && c.gate->interval) interval = Interval{100.0 * c.gate->interval->lo, 100.0 * c.gate->interval->hi};
      table.rows.push_back(
          {{judgement.model, judgement.baseline, place_of(c), is_regression(c) ? std::string("REGRESSED") : c.verdict,
            c.next, 100.0 * c.relative, interval},
           is_regression(c) ? Emphasis::kStrong : Emphasis::kNone});
    }
  }
  if (!table.rows.empty()) tonight.table = table;
  ReportSection trends;
  trends.title = "Night after night";
  std::vector<std::string> corpora;
  for (const JudgedModel& model : report.models) {
    for (const HistoryRun& run : model.runs) corpora.push_back(run.corpus);
  }
  std::sort(corpora.begin(), corpora.end());
  corpora.erase(std::unique(corpora.begin(), corpora.end()), corpora.end());
  for (const std::string& corpus : corpora) trends.figures.push_back(trend(report, corpus));
  return {tonight, trends};
}

}  // namespace lmbits
