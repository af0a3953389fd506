#include "src/report/run_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "src/report/categories.h"
#include "src/report/html.h"
#include "src/report/pairing.h"
#include "src/report/rank_report.h"
#include "src/report/wording.h"

namespace lmbits {
namespace {

constexpr std::size_t kShownDigits = 8;  // of a fingerprint; the manifests have all

// ---- what is known of models and runs ----

const Json* find(const Json& json, std::initializer_list<const char*> path) {
  const Json* at = &json;
  for (const char* key : path) {
    if (!at->is_object() || !at->contains(key)) return nullptr;
    at = &(*at)[key];
  }
  return at;
}

std::optional<std::string> text_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* found = find(json, path);
  return found != nullptr && found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
}

std::optional<std::string> shown_digits(const std::optional<std::string>& fingerprint) {
  return fingerprint ? std::optional(fingerprint->substr(0, kShownDigits)) : std::nullopt;
}

std::optional<std::int64_t> whole(const std::optional<double>& value) {
  return value ? std::optional(static_cast<std::int64_t>(std::llround(*value))) : std::nullopt;
}

TableColumn left(const std::string& key, const std::string& title, Audience audience = Audience::kAll) {
  return {.key = key, .title = title, .align = Align::kLeft, .audience = audience};
}

TableColumn right(const std::string& key, const std::string& title) { return {.key = key, .title = title}; }

Table models_table(const std::vector<Run>& runs) {
  Table table;
  table.columns = {left("model", "model"),
                   right("parameters", "parameters"),
                   right("non_embedding", "without embedding"),
                   right("training_tokens", "training tokens"),
                   right("training_steps", "steps"),
                   {.key = "training_flops", .title = "training FLOP", .decimals = 0},
                   left("tokenizer", "tokenizer"),
                   left("licence", "licence"),
                   left("source", "source", Audience::kMachines)};  // a sentence: people find it in the manifest
  std::set<std::string> seen;
  for (const Run& run : runs) {
    if (!seen.insert(model_name(run)).second) continue;
    const Training training = training_of(run);
    table.rows.push_back({{model_name(run), cell_of(whole(training.parameters)), cell_of(whole(training.non_embedding)),
                           cell_of(whole(training.tokens)), cell_of(whole(training.step)), cell_of(training.flops),
                           cell_of(text_at(run.manifest, {"tokenizer", "kind"})),
                           cell_of(text_at(run.manifest, {"model", "metadata", "licence"})),
                           cell_of(text_at(run.manifest, {"model", "metadata", "source"}))}});
  }
  return table;
}

std::optional<std::int64_t> count_at(const Json& json, const char* key) {
  const Json* found = find(json, {key});
  return found != nullptr && found->is_number_integer() ? std::optional(found->get<std::int64_t>()) : std::nullopt;
}

Table runs_table(const std::vector<Run>& runs) {
  Table table;
  table.columns = {left("model", "model"),    left("corpus", "corpus"),          left("convention", "convention"),
                   left("state", "state"),    right("n_documents", "documents"), right("n_failed", "failed"),
                   right("n_bytes", "bytes"), right("n_tokens", "tokens"),       right("n_scored", "scored")};
  struct Fingerprinted {
    const char *key, *title;
  };
  constexpr Fingerprinted kFingerprints[] = {
      {"model", "model's hash"}, {"tokenizer", "tokenizer's"}, {"corpus", "corpus'"}};
  for (const auto& [key, title] : kFingerprints) {
    table.columns.push_back(left("", title, Audience::kPeople));
    table.columns.push_back(left(std::string(key) + "_fingerprint", title, Audience::kMachines));
  }
  for (const auto& [key, title] :
       {std::pair{"dtype", "dtype"}, {"device", "device"}, {"libtorch", "libtorch"}, {"started", "started"}})
    table.columns.push_back(left(key, title));
  for (const Run& run : runs) {
    const Json& m = run.manifest;
    std::vector<Cell> cells = {model_name(run), corpus_name(run), convention_name(run),
                               std::string(run.summary.is_null() ? "unfinished" : "finished")};
    for (const char* key : {"n_documents", "n_failed", "n_bytes", "n_tokens", "n_scored"})
      cells.push_back(cell_of(count_at(run.summary, key)));
    for (const auto& [key, title] : kFingerprints) {
      const std::optional<std::string> hash = text_at(m, {"identity", key});
      cells.push_back(cell_of(shown_digits(hash)));
      cells.push_back(cell_of(hash));
    }
    cells.push_back(cell_of(text_at(m, {"identity", "dtype"})));
    cells.push_back(cell_of(text_at(m, {"device"})));
    cells.push_back(cell_of(text_at(m, {"versions", "libtorch"})));
    cells.push_back(cell_of(text_at(m, {"started"})));
    table.rows.push_back({cells});
  }
  return table;
}

// Each warning of a run once, with the runs that have it.
std::vector<std::string> run_warnings(const std::vector<Run>& runs) {
  std::map<std::string, std::vector<std::string>> holders;
  for (const Run& run : runs) {
    const Json* warnings = find(run.summary, {"warnings"});
    if (warnings == nullptr || !warnings->is_array()) continue;
    for (const Json& warning : *warnings)
      if (warning.is_string())
        holders[warning.get<std::string>()].push_back(model_name(run) + " on " + corpus_name(run));
  }
  std::vector<std::string> texts;
  for (const auto& [warning, names] : holders) {
    const auto n = static_cast<std::int64_t>(names.size());
    texts.push_back(
        warning + " (" +
        (n <= 3 ? names[0] + (n > 1 ? ", " + names[1] : "") + (n > 2 ? ", " + names[2] : "") : counted(n, "run")) +
        ")");
  }
  return texts;
}

// ---- leaderboard ----

void drop_column(Table& table, const std::string& key) {
  const auto found =
      std::find_if(table.columns.begin(), table.columns.end(), [&](const TableColumn& c) { return c.key == key; });
  if (found == table.columns.end()) return;
  const auto at = found - table.columns.begin();
  table.columns.erase(found);
  for (TableRow& row : table.rows) row.cells.erase(row.cells.begin() + at);
}

// What a leaderboard shows: the corpora's mean, or the only corpus there is.
std::vector<const RankReportTable*> leading_tables(const RankReport& report) {
  std::vector<const RankReportTable*> leading;
  std::set<std::string> done;
  for (const RankReportTable& table : report.overall) {
    if (table.pooling == Pooling::kMacro && done.insert(table.convention).second) leading.push_back(&table);
  }
  for (const RankReportTable& table : report.tables) {
    if (!table.rows.empty() && done.insert(table.convention).second) leading.push_back(&table);
  }
  return leading;
}

Table leaderboard(const RankReportTable& from, const RunReport& report) {
  const RankRequest& request = report.ranking.request;
  Table table = table_of(from, request);
  for (const Metric metric : {Metric::kBitsPerByte, Metric::kBitsPerChar, Metric::kRatio})
    if (metric != request.metric) drop_column(table, metric_key(metric));
  if (from.pooling) {
    for (const RankReportTable& corpus : report.ranking.tables) {
      if (corpus.convention != from.convention) continue;
      table.columns.push_back({.key = metric_key(request.metric) + "_" + corpus.corpus,
                               .title = corpus.corpus,
                               .decimals = request.metric == Metric::kRatio ? 3 : 4});
      for (std::size_t r = 0; r < from.rows.size(); ++r) {
        const auto same = std::find_if(corpus.rows.begin(), corpus.rows.end(),
                                       [&](const RankReportRow& row) { return row.name == from.rows[r].name; });
        table.rows[r].cells.push_back(same == corpus.rows.end() ? Cell{} : Cell{same->ranked.value});
      }
    }
  }
  table.columns.push_back({.key = "parameters", .title = "parameters"});
  for (std::size_t r = 0; r < from.rows.size(); ++r) {
    const auto known = report.training.find(from.rows[r].name);
    const Training training = known == report.training.end() ? Training{} : known->second;
    table.rows[r].cells.push_back(cell_of(whole(training.parameters)));
  }
  return table;
}

// Each row's value and interval as a small drawing, on one scale.
std::vector<std::string> interval_pictures(const RankReportTable& table) {
  constexpr double kWidth = 150.0, kHeight = 14.0, kInset = 5.0;
  double lo = std::numeric_limits<double>::infinity(), hi = -lo;
  for (const RankReportRow& row : table.rows) {
    const Interval spread = row.ranked.interval.value_or(Interval{row.ranked.value, row.ranked.value});
    lo = std::min({lo, row.ranked.value, spread.lo});
    hi = std::max({hi, row.ranked.value, spread.hi});
  }
  const auto pixel = [&](double x) {
    return hi > lo ? kInset + (x - lo) / (hi - lo) * (kWidth - 2 * kInset) : kWidth / 2;
  };
  std::vector<std::string> pictures;
  for (const RankReportRow& row : table.rows) {
    Drawing drawing(kWidth, kHeight, "");
    const Xy at{pixel(row.ranked.value), kHeight / 2};
    drawing.line({0, at.y}, {kWidth, at.y}, "grid");
    if (row.ranked.interval && !row.is_baseline)
      drawing.line({pixel(row.ranked.interval->lo), at.y}, {pixel(row.ranked.interval->hi), at.y}, "line-0");
    const double r = row.is_baseline ? 2.5 : 3.5;
    drawing.rectangle({at.x - r, at.y - r, at.x + r, at.y + r}, row.is_baseline ? "muted" : "fill-0",
                      row.is_baseline ? 0 : r);
    pictures.push_back(drawing.svg(Look::kInline));
  }
  return pictures;
}

// ---- the page ----

std::string metric_words(const RankRequest& request) {
  return request.metric == Metric::kBitsPerByte   ? "bits/byte"
         : request.metric == Metric::kBitsPerChar ? "bits/char"
                                                  : "the ratio";
}

std::string lead_text(const RunReport& report) {
  std::set<std::string> models, corpora;
  std::int64_t n_bytes = 0;
  for (const RankReportTable& table : report.ranking.tables) {
    if (corpora.insert(table.corpus).second) n_bytes += table.n_bytes;
    for (const RankReportRow& row : table.rows)
      if (!row.is_baseline) models.insert(row.name);
  }
  return counted(static_cast<std::int64_t>(models.size()), "model") + " on " + std::to_string(corpora.size()) +
         (corpora.size() == 1 ? " corpus, " : " corpora, ") + counted(n_bytes, "byte") +
         " of text. How many bits does each model need to store a byte of it?";
}

std::vector<std::string> all_warnings(const RunReport& report) {
  std::vector<std::string> warnings = report.ranking.warnings;
  for (const RankReportTable* table : all_tables(report.ranking)) {
    for (const std::string& warning : table->warnings) {
      const std::string place = table->pooling ? "overall" : table->corpus;
      warnings.push_back(place + ": " + warning);
    }
  }
  warnings.insert(warnings.end(), report.warnings.begin(), report.warnings.end());
  std::set<std::string> seen;
  std::erase_if(warnings, [&](const std::string& w) { return !seen.insert(w).second; });
  return warnings;
}

void add_ranked(HtmlPage& page, const RankReportTable& table, const RankRequest& request) {
  if (table.rows.empty()) return;
  page.table(table_of(table, request), interval_pictures(table), metric_words(request));
}

void add_leaderboards(HtmlPage& page, const RunReport& report) {
  page.section("Leaderboard");
  page.filter("Models:");
  for (const RankReportTable* from : leading_tables(report.ranking)) {
    page.subsection(heading(*from));
    page.table(leaderboard(*from, report), interval_pictures(*from), metric_words(report.ranking.request));
  }
  page.paragraph(legend(report.ranking), "note");
}

void add_figures(HtmlPage& page, const RankReportTable& table, const RunReport& report) {
  if (table.rows.empty()) return;
  const Figure bars = bars_figure(table, report.ranking.request);
  page.figure(bars.drawing, bars.caption);
  if (const auto curves = curves_figure(table, report.ranking.request, report.training))
    page.figure(curves->drawing, curves->caption);
}

// The leaderboard has the macro tables already: here are their figures, and the micro tables.
void add_overall(HtmlPage& page, const RunReport& report) {
  if (report.ranking.overall.empty()) return;
  page.section("Overall");
  for (const RankReportTable& table : report.ranking.overall) {
    if (table.pooling == Pooling::kMacro) {
      add_figures(page, table, report);
      continue;
    }
    page.subsection(heading(table));
    add_ranked(page, table, report.ranking.request);
  }
}

void add_corpus(HtmlPage& page, const RankReportTable& table, const RunReport& report) {
  page.section(table.corpus + (table.convention == "default" ? "" : " (" + table.convention + ")"));
  page.paragraph(heading(table), "note");
  add_ranked(page, table, report.ranking.request);
  if (!table.warnings.empty()) page.list(table.warnings, "warnings");
  add_figures(page, table, report);
}

void add_categories(HtmlPage& page, const RunReport& report) {
  if (!report.categories) return;
  page.section("By category");
  page.paragraph(
      "The documents of a corpus by their categories, which its corpus.json names, or else the folder that their ids "
      "begin with; compressors on each document by itself. Macro: each category counts alike.",
      "note");
  for (const RankReportTable* table : all_tables(*report.categories)) {
    page.subsection(heading(*table));
    add_ranked(page, *table, report.categories->request);
    if (!table->warnings.empty()) page.list(table->warnings, "warnings");
  }
}

// What is known of the texts having been trained on: a row a corpus that was checked, and the question where none was.
Table contamination_table(const std::vector<Run>& runs) {
  Table table;
  table.columns = {left("model", "model"),
                   left("corpus", "corpus"),
                   left("against", "against"),
                   left("ngram", "n-gram"),
                   {.key = "bytes_found", .title = "bytes found %", .decimals = 2},
                   {.key = "ngrams_found", .title = "n-grams found %", .decimals = 2},
                   right("n_contaminated", "contaminated"),
                   right("longest_found", "longest, bytes"),
                   right("bits_per_byte", "bits/byte"),
                   right("bits_per_byte_clean", "without them"),
                   right("bits_per_byte_clean_blocks", "without such blocks")};
  for (const Run& run : runs) {
    const Json* c = find(run.summary, {"contamination"});
    if (c == nullptr || !c->is_object()) continue;
    const auto number = [&](std::initializer_list<const char*> path) -> Cell {
      const Json* found = find(*c, path);
      if (found == nullptr || !found->is_number()) return std::monostate{};
      if (found->is_number_integer()) return found->get<std::int64_t>();
      return found->get<double>();
    };
    const auto percent = [&](const char* key) -> Cell {
      const Json* found = find(*c, {key});
      if (found == nullptr || !found->is_number()) return std::monostate{};
      return 100.0 * found->get<double>();
    };
    std::string against;
    for (const Json& name : c->value("against", Json::array()))
      against += (against.empty() ? "" : ", ") + name.value("name", std::string());
    table.rows.push_back(
        {{model_name(run), corpus_name(run), against, c->value("ngram", std::string()), percent("share_bytes"),
          percent("share_ngrams"), number({"n_contaminated"}), number({"longest_found"}), number({"bits_per_byte"}),
          number({"bits_per_byte_clean"}), number({"blocks", "bits_per_byte_clean"})}});
  }
  return table;
}

// Contamination is the first question anyone asks of a compression number.
std::string contamination_question(const RunReport& report) {
  const std::string question =
      "Did the models see these texts in training? It is the first question anyone asks of a compression number. ";
  if (report.contamination.rows.empty())
    return question + "Here it was not asked: lmbits eval --against TRAIN, or lmbits corpus check, compares texts.";
  return question +
         "Found: the share of the texts' bytes that lie in an n-gram which the named texts have. Contaminated "
         "documents "
         "are those with a share of at least the threshold in summary.json; blocks are pieces of long documents. What "
         "was "
         "not compared is not known to be clean.";
}

void add_contamination(HtmlPage& page, const RunReport& report) {
  page.section("Contamination");
  page.paragraph(contamination_question(report), "note");
  if (!report.contamination.rows.empty()) page.table(report.contamination);
}

void add_section(HtmlPage& page, const ReportSection& section) {
  page.section(section.title);
  for (const std::string& text : section.paragraphs) page.paragraph(text);
  if (!section.warnings.empty()) page.list(section.warnings, "warnings");
  for (const Figure& figure : section.figures) page.figure(figure.drawing, figure.caption);
  if (section.table) page.table(*section.table);
  for (const TitledTable& each : section.more) {
    page.subsection(each.title);
    page.table(each.table);
  }
}

void add_provenance(HtmlPage& page, const RunReport& report) {
  page.section("Models");
  page.table(report.models);
  page.section("Runs");
  page.paragraph(
      "Equal hashes mean equal weights, tokenizers and texts (first digits; the manifests have all of them).", "note");
  page.table(report.runs);
  for (const Json& manifest : report.manifests) {
    const std::string name = text_at(manifest, {"model", "name"}).value_or("?") + " on " +
                             text_at(manifest, {"corpus", "name"}).value_or("?");
    page.details("manifest of " + name, manifest.dump(2, ' ', false, Json::error_handler_t::replace));
  }
}

// ---- other formats ----

std::string markdown_list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += "- " + printable(item) + "\n";
  return text;
}

std::string section_markdown(const ReportSection& section) {
  std::string text = "\n## " + printable(section.title) + "\n\n";
  for (const std::string& paragraph : section.paragraphs) text += printable(paragraph) + "\n\n";
  if (!section.warnings.empty()) text += markdown_list(section.warnings) + "\n";
  if (section.table) text += to_markdown(*section.table);
  for (const TitledTable& each : section.more)
    text += "\n### " + printable(each.title) + "\n\n" + to_markdown(each.table);
  return text;
}

Json printable_json(const std::vector<std::string>& texts) {
  Json json = Json::array();
  for (const std::string& text : texts) json.push_back(printable(text));
  return json;
}

Json section_json(const ReportSection& section) {
  Json more = Json::array();
  for (const TitledTable& each : section.more)
    more.push_back({{"title", printable(each.title)}, {"rows", to_json(each.table)}});
  return {{"title", printable(section.title)},
          {"paragraphs", printable_json(section.paragraphs)},
          {"warnings", printable_json(section.warnings)},
          {"rows", section.table ? to_json(*section.table) : Json(nullptr)},
          {"more", std::move(more)}};
}

}  // namespace

RunReport report_runs(const std::vector<Run>& runs, const RankRequest& request) {
  RunReport report;
  report.ranking = rank_runs(runs, request);
  report.categories = rank_categories(runs, request);
  for (const Run& run : runs) {
    report.training.emplace(model_name(run), training_of(run));
    report.manifests.push_back(run.manifest);
  }
  report.models = models_table(runs);
  report.runs = runs_table(runs);
  report.contamination = contamination_table(runs);
  report.warnings = run_warnings(runs);
  return report;
}

std::vector<Table> leaderboards(const RunReport& report) {
  std::vector<Table> tables;
  for (const RankReportTable* from : leading_tables(report.ranking)) tables.push_back(leaderboard(*from, report));
  return tables;
}

std::string to_html(const RunReport& report, const std::vector<ReportSection>& sections, const PageOptions& options) {
  HtmlPage page(options.title);
  page.section("");
  page.paragraph(lead_text(report), "lead");
  add_leaderboards(page, report);
  for (const ReportSection& section : sections) add_section(page, section);
  add_overall(page, report);
  for (const RankReportTable& table : report.ranking.tables) add_corpus(page, table, report);
  add_categories(page, report);
  add_contamination(page, report);
  if (const auto warnings = all_warnings(report); !warnings.empty()) {
    page.section("Warnings");
    page.list(warnings, "warnings");
  }
  add_provenance(page, report);
  page.paragraph(options.origin, "note");
  return page.html();
}

std::string to_markdown(const RunReport& report, const std::vector<ReportSection>& sections) {
  std::string text = to_markdown(report.ranking);
  for (const ReportSection& section : sections) text += section_markdown(section);
  if (report.categories) text += "\n## By category\n\n" + to_markdown(*report.categories);
  text += "\n## Contamination\n\n" + contamination_question(report) + "\n";
  if (!report.contamination.rows.empty()) text += "\n" + to_markdown(report.contamination);
  if (!report.warnings.empty()) text += "\n## Warnings of the runs\n\n" + markdown_list(report.warnings);
  return text + "\n## Models\n\n" + to_markdown(report.models) + "\n## Runs\n\n" + to_markdown(report.runs);
}

std::string to_csv(const RunReport& report) {
  const std::string ranking = to_csv(report.ranking);
  if (!report.categories) return ranking;
  const std::string categories = to_csv(*report.categories);
  return ranking + categories.substr(categories.find('\n') + 1);  // the same header
}

Json to_json(const RunReport& report, const std::vector<ReportSection>& sections) {
  Json json{{"schema", 1},
            {"ranking", to_json(report.ranking)},
            {"categories", report.categories ? to_json(*report.categories) : Json(nullptr)},
            {"contamination", to_json(report.contamination)},
            {"sections", Json::array()},
            {"models", to_json(report.models)},
            {"runs", to_json(report.runs)},
            {"manifests", report.manifests},
            {"warnings", printable_json(all_warnings(report))}};
  for (const ReportSection& section : sections) json["sections"].push_back(section_json(section));
  return json;
}

}  // namespace lmbits
