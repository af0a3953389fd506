#include "src/report/compression_table.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/pairing.h"
#include "src/store/training.h"

namespace lmbits {
namespace {

std::optional<double> number_in(const Json& object, const char* key) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

const Json& object_in(const Json& object, const char* key) {
  static const Json empty = Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : empty;
}

void note_corpus(CompressionTable& table, const std::string& corpus) {
  if (std::find(table.corpora.begin(), table.corpora.end(), corpus) == table.corpora.end())
    table.corpora.push_back(corpus);
}

// ---- runs ----

Compression compression_of(const Run& run) {
  Compression row;
  row.model = model_name(run);
  row.corpus = corpus_name(run);
  row.bits_per_byte = number_in(run.summary, "bits_per_byte");
  row.bits_per_char = number_in(run.summary, "bits_per_char");
  row.bits_per_token = number_in(run.summary, "bits_per_token");
  row.ratio = number_in(run.summary, "ratio");
  const Json interval = object_in(run.summary, "interval").value("bits_per_byte", Json());
  if (interval.is_array() && interval.size() == 2 && interval[0].is_number() && interval[1].is_number())
    row.interval = Interval{interval[0].get<double>(), interval[1].get<double>()};
  const std::optional<double> gzip =
      number_in(object_in(object_in(run.summary, "baselines"), "gzip-9"), "bits_per_byte");
  if (gzip && *gzip > 0.0) row.gzip_ratio = 8.0 / *gzip;
  return row;
}

std::string only_convention(const std::vector<Run>& runs, const std::string& wanted) {
  std::set<std::string> names;
  for (const Run& run : runs) names.insert(convention_name(run));
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  if (names.empty())
    throw Error(ErrorKind::kData, "there is no run to correlate", "give the folder that `lmbits eval -o` wrote");
  if (!wanted.empty() && names.count(wanted) == 0)
    throw Error(ErrorKind::kUsage, "no run has convention " + wanted, "the runs have " + list);
  if (wanted.empty() && names.size() > 1)
    throw Error(ErrorKind::kUsage, "the runs have " + std::to_string(names.size()) + " conventions: " + list,
                "choose one with --convention");
  return wanted.empty() ? *names.begin() : wanted;
}

// ---- CSV ----

struct MetricColumn {
  std::size_t column;
  CompressionMetric metric;
  std::string corpus;  // wide tables only
};

struct MetricName {
  const char* name;
  CompressionMetric metric;
};

constexpr MetricName kMetricNames[] = {{"bits_per_byte", CompressionMetric::kBitsPerByte},
                                       {"bits_per_char", CompressionMetric::kBitsPerChar},
                                       {"bits_per_token", CompressionMetric::kBitsPerToken},
                                       {"bpb", CompressionMetric::kBitsPerByte},
                                       {"bpc", CompressionMetric::kBitsPerChar},
                                       {"ratio", CompressionMetric::kRatio}};

std::vector<MetricColumn> metric_columns(const CsvTable& csv, bool wide, CompressionTable& table) {
  static const std::set<std::string> kDerived = {"average", "avg", "mean", "overall"};
  std::vector<MetricColumn> columns;
  for (std::size_t c = 0; c < csv.columns.size(); ++c) {
    for (const MetricName& known : kMetricNames) {
      const std::string name = known.name, prefix = name + "_";
      if (!wide && csv.columns[c] == name) columns.push_back({c, known.metric, ""});
      if (!wide || !csv.columns[c].starts_with(prefix)) continue;
      const std::string corpus = csv.columns[c].substr(prefix.size());
      if (kDerived.count(corpus) > 0)
        table.notes.push_back("column " + csv.columns[c] + " is left out: averages are computed here");
      else
        columns.push_back({c, known.metric, corpus});
      break;
    }
  }
  return columns;
}

// OpenCompass' summary_pivot_*.csv of its LLM compression has the columns metric, version, model, a column a corpus, average:
// its columns get the names that wide tables have here.
CsvTable named_by_metric(CsvTable csv) {
  if (csv.columns.size() < 5 || csv.columns[0] != "metric" || csv.columns[1] != "version" || csv.columns[2] != "model")
    return csv;
  for (const CsvRow& row : csv.rows)
    if (row.cells[0] != csv.rows[0].cells[0])
      throw Error(ErrorKind::kData,
                  csv.source + ", line " + std::to_string(row.line) + ": metric " + row.cells[0] + " after " +
                      csv.rows[0].cells[0],
                  "keep the rows of one metric");
  for (std::size_t c = 3; c < csv.columns.size() && !csv.rows.empty(); ++c)
    csv.columns[c] = csv.rows[0].cells[0] + "_" + csv.columns[c];
  return csv;
}

void set_value(Compression& row, CompressionMetric metric, double value) {
  (metric == CompressionMetric::kBitsPerByte   ? row.bits_per_byte
   : metric == CompressionMetric::kBitsPerChar ? row.bits_per_char
   : metric == CompressionMetric::kRatio       ? row.ratio
                                               : row.bits_per_token) = value;
}

Compression& row_of(CompressionTable& table, const std::string& model, const std::string& corpus) {
  for (Compression& row : table.rows)
    if (row.model == model && row.corpus == corpus) return row;
  note_corpus(table, corpus);
  table.rows.push_back({});
  table.rows.back().model = model;
  table.rows.back().corpus = corpus;
  return table.rows.back();
}

void take_facts(CompressionTable& table, const CsvTable& csv, const CsvRow& row, const std::string& model) {
  ModelFacts& facts = table.models[model];
  const auto family = csv.find("family"), parameters = csv.find("parameters");
  facts.family = family && !row.cells[*family].empty() ? row.cells[*family] : family_in_name(model);
  facts.parameters = parameters ? csv_number(csv, row, *parameters) : parameters_in_name(model);
}

}  // namespace

std::optional<double> Compression::value(CompressionMetric metric) const {
  return metric == CompressionMetric::kBitsPerByte   ? bits_per_byte
         : metric == CompressionMetric::kBitsPerChar ? bits_per_char
         : metric == CompressionMetric::kRatio       ? ratio
                                                     : bits_per_token;
}

const Compression* CompressionTable::find(const std::string& model, const std::string& corpus) const {
  for (const Compression& row : rows)
    if (row.model == model && row.corpus == corpus) return &row;
  return nullptr;
}

CompressionTable compression_of_runs(const std::vector<Run>& runs, const std::string& convention) {
  const std::string chosen = only_convention(runs, convention);
  CompressionTable table;
  std::vector<const Run*> used;
  for (const Run& run : runs)
    if (convention_name(run) == chosen) used.push_back(&run);
  check_names(used);
  bool training_runs = false;
  for (const Run* run : used) {
    const std::string model = model_name(*run), corpus = corpus_name(*run);
    if (run->summary.is_null()) {
      table.notes.push_back(model + " on " + corpus + ": unfinished, left out");
      continue;
    }
    const std::optional<double> n_failed = number_in(run->summary, "n_failed");
    if (n_failed && *n_failed > 0.0)
      table.notes.push_back(model + " on " + corpus + ": " + std::to_string(static_cast<std::int64_t>(*n_failed)) +
                            " documents failed and are not in its bits/byte");
    note_corpus(table, corpus);
    table.rows.push_back(compression_of(*run));
    const Training training = training_of(*run);
    const bool checkpoint = training.run != model;
    training_runs = training_runs || checkpoint;
    ModelFacts& facts = table.models[model];
    facts.family = checkpoint ? training.run : family_in_name(model);
    facts.parameters = training.parameters;
    facts.training_tokens = training.tokens;
  }
  table.family_kind = training_runs ? "training runs" : "families";
  std::sort(table.corpora.begin(), table.corpora.end());
  return table;
}

CompressionTable compression_of_csv(const CsvTable& given) {
  const CsvTable csv = named_by_metric(given);
  CompressionTable table;
  table.family_kind = "families";
  const auto model = csv.find("model"), corpus = csv.find("corpus");
  if (!model)
    throw Error(ErrorKind::kData, csv.source + " has no column \"model\"", "docs/formats.md shows both forms");
  const std::vector<MetricColumn> columns = metric_columns(csv, !corpus, table);
  if (columns.empty())
    throw Error(ErrorKind::kData, csv.source + " has no column of compression",
                "long: model, corpus, bits_per_byte; wide: model, bpb_CORPUS or bpc_CORPUS a corpus");
  for (const CsvRow& cells : csv.rows) {
    const std::string& name = cells.cells[*model];
    take_facts(table, csv, cells, name);
    for (const MetricColumn& column : columns) {
      const std::optional<double> value = csv_number(csv, cells, column.column);
      if (!value) continue;
      if (!(*value > 0.0))
        throw Error(ErrorKind::kData,
                    csv.source + ", line " + std::to_string(cells.line) + ", column " + csv.columns[column.column] +
                        ": " + cells.cells[column.column] + " is no compression, which is above 0",
                    "mend it, or leave the cell empty");
      Compression& row = row_of(table, name, corpus ? cells.cells[*corpus] : column.corpus);
      if (row.value(column.metric))
        throw Error(ErrorKind::kData,
                    csv.source + ", line " + std::to_string(cells.line) + ": model " + name + " is there twice",
                    "keep one of its rows");
      set_value(row, column.metric, *value);
    }
  }
  for (Compression& row : table.rows) {  // one says the other
    if (!row.ratio && row.bits_per_byte && *row.bits_per_byte > 0.0) row.ratio = 8.0 / *row.bits_per_byte;
    if (!row.bits_per_byte && row.ratio && *row.ratio > 0.0) row.bits_per_byte = 8.0 / *row.ratio;
  }
  if (!csv.find("family"))
    table.notes.push_back("families are the first words of the models' names (--families sets them)");
  if (!csv.find("parameters"))
    table.notes.push_back("parameters are the sizes in the models' names (7b); a column \"parameters\" sets them");
  return table;
}

void set_families(CompressionTable& table, const std::map<std::string, std::string>& families) {
  std::string unknown;
  for (const auto& [model, family] : families) {
    const auto found = table.models.find(model);
    if (found != table.models.end())
      found->second.family = family;
    else
      unknown += (unknown.empty() ? "" : ", ") + model;
  }
  if (!unknown.empty()) table.notes.push_back("--families names models without compression: " + unknown);
  std::erase_if(table.notes, [](const std::string& note) { return note.starts_with("families are"); });
  table.family_kind = "families";
}

std::string metric_key(CompressionMetric metric) {
  return metric == CompressionMetric::kBitsPerByte   ? "bits_per_byte"
         : metric == CompressionMetric::kBitsPerChar ? "bits_per_char"
         : metric == CompressionMetric::kRatio       ? "ratio"
                                                     : "bits_per_token";
}

std::string metric_words(CompressionMetric metric) {
  return metric == CompressionMetric::kBitsPerByte   ? "bits/byte"
         : metric == CompressionMetric::kBitsPerChar ? "bits/char"
         : metric == CompressionMetric::kRatio       ? "ratio"
                                                     : "bits/token";
}

std::string family_in_name(const std::string& model) {
  std::string family;
  for (const char c : model) {
    if (!std::isalpha(static_cast<unsigned char>(c))) break;
    family += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return family.empty() ? model : family;
}

std::optional<double> parameters_in_name(const std::string& model) {
  for (std::size_t end = 1; end < model.size(); ++end) {
    const char unit = static_cast<char>(std::tolower(static_cast<unsigned char>(model[end])));
    const bool ends_word = end + 1 == model.size() || !std::isalnum(static_cast<unsigned char>(model[end + 1]));
    if ((unit != 'b' && unit != 'm') || !ends_word) continue;
    std::size_t begin = end;
    while (begin > 0 && (std::isdigit(static_cast<unsigned char>(model[begin - 1])) || model[begin - 1] == '.'))
      --begin;
    const bool begins_word = begin == 0 || !std::isalpha(static_cast<unsigned char>(model[begin - 1]));
    if (begin == end || !begins_word) continue;
    double number = 0.0;
    const auto parsed = std::from_chars(model.data() + begin, model.data() + end, number);
    if (parsed.ec != std::errc() || !(number > 0.0)) continue;
    return number * (unit == 'b' ? 1e9 : 1e6);
  }
  return std::nullopt;
}

}  // namespace lmbits
