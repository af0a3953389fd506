#include "src/scaling/points.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>

#include "src/core/csv.h"
#include "src/core/error.h"
#include "src/core/suggest.h"
#include "src/core/units.h"

namespace lmbits {
namespace {

struct Quantity {
  const char* key;
  std::vector<std::string> aliases;  // normalised
};

const std::vector<Quantity>& quantities() {
  static const std::vector<Quantity> all = {
      {"N", {"n", "params", "parameters", "nparams", "numparams", "nparameters", "modelsize", "totalparams", "size"}},
      {"D", {"d", "tokens", "ntokens", "numtokens", "trainingtokens", "traintokens", "tokensseen", "data", "datasize"}},
      {"C", {"c", "flop", "flops", "compute", "trainingflop", "trainingflops", "trainingcompute", "totalflops"}},
      {"U", {"u", "uniquetokens", "tokensperepoch", "unique"}},
      {"H", {"h", "gzip", "gziph", "gzipcomplexity", "complexity", "compressibility"}},
      {"S", {"s", "steps", "step", "trainingsteps"}},
      {"loss",
       {"loss", "l", "finalloss", "valloss", "validationloss", "testloss", "evalloss", "bitsperbyte", "bpb",
        "bitspertoken"}},
      {"weight", {"weight", "w"}},
      {"run", {"run", "name", "label", "model", "id"}},
      {"set", {"set", "dataset", "corpus"}},
      {"unit", {"unit", "units", "lossunit"}},
      {"tokenizer", {"tokenizer", "tokeniser"}},
  };
  return all;
}

std::string normalised(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)))
      text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

std::vector<std::string> keys() {
  std::vector<std::string> all;
  for (const Quantity& quantity : quantities()) all.push_back(quantity.key);
  return all;
}

// Where each quantity is in the table.
using Places = std::map<std::string, std::size_t>;

Places places_of(const CsvTable& table, const PointsRequest& request) {
  Places places;
  for (const auto& [key, name] : request.columns) {
    const std::vector<std::string> known = keys();
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw Error(ErrorKind::kUsage, "--column names \"" + key + "\", which is no quantity", suggestion(key, known));
    const auto found = table.find(name);
    if (!found)
      throw Error(ErrorKind::kUsage, table.source + " has no column \"" + name + "\"", suggestion(name, table.columns));
    places[key] = *found;
  }
  for (const Quantity& quantity : quantities()) {
    if (places.count(quantity.key)) continue;
    for (const std::string& alias : quantity.aliases) {  // in the order of preference
      for (std::size_t c = 0; c < table.columns.size() && !places.count(quantity.key); ++c) {
        if (normalised(table.columns[c]) == alias) places[quantity.key] = c;
      }
    }
  }
  return places;
}

std::string where(const CsvTable& table, const CsvRow& row) {
  return table.source + ", line " + std::to_string(row.line);
}

// "7e9", "7B", "400 M"; nullopt where it is neither.
std::optional<double> number_of(std::string text) {
  double factor = 1.0;
  constexpr std::pair<char, double> kSuffixes[] = {{'K', 1e3}, {'M', 1e6}, {'B', 1e9}, {'G', 1e9}, {'T', 1e12}};
  for (const auto& [suffix, value] : kSuffixes) {
    if (!text.empty() && std::toupper(static_cast<unsigned char>(text.back())) == suffix) {
      factor = value;
      text.pop_back();
      break;
    }
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  double value = 0.0;
  const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || stop != text.data() + text.size() || text.empty()) return std::nullopt;
  return factor * value;
}

std::optional<double> cell_number(const CsvTable& table, const CsvRow& row, std::size_t column) {
  if (const auto value = number_of(row.cells[column])) return value;
  return csv_number(table, row, column);  // says what is wrong, or that there is none
}

// ---- rules that leave rows out ----

struct Rule {
  std::string text, relation, value;
  std::size_t column = 0;
};

Rule parse_rule(const std::string& text, const CsvTable& table, const Places& places) {
  const std::size_t at = text.find_first_of("<>=!");
  if (at == std::string::npos || at == 0)
    throw Error(ErrorKind::kUsage, "--exclude \"" + text + "\" is no rule",
                "write COLUMN<VALUE, with < <= > >= = or !=");
  const std::size_t end = at + (at + 1 < text.size() && text[at + 1] == '=' ? 2 : 1);
  Rule rule{text, text.substr(at, end - at), text.substr(end)};
  const std::string name = text.substr(0, at);
  if (const auto found = table.find(name))
    rule.column = *found;
  else if (const auto place = places.find(name); place != places.end())
    rule.column = place->second;
  else
    throw Error(ErrorKind::kUsage, "--exclude names \"" + name + "\", which " + table.source + " has not",
                suggestion(name, table.columns));
  const std::set<std::string> relations{"<", "<=", ">", ">=", "=", "==", "!="};
  if (!relations.count(rule.relation))
    throw Error(ErrorKind::kUsage, "--exclude \"" + text + "\" is no rule",
                "write COLUMN<VALUE, with < <= > >= = or !=");
  return rule;
}

bool leaves_out(const Rule& rule, const CsvRow& row) {
  const std::string& cell = row.cells[rule.column];
  const auto a = number_of(cell), b = number_of(rule.value);
  const bool both = a && b;
  const bool same = both ? *a == *b || (std::isnan(*a) && std::isnan(*b)) : cell == rule.value;
  if (rule.relation == "=" || rule.relation == "==") return same;
  if (rule.relation == "!=") return !same;
  if (!both) return false;
  if (rule.relation == "<") return *a < *b;
  if (rule.relation == "<=") return *a <= *b;
  return rule.relation == ">" ? *a > *b : *a >= *b;
}

// ---- units ----

// A row of those that are kept whose column `unit` all others agree with; nullptr where there is no such column.
const CsvRow* row_with_unit(const CsvTable& table, const Places& places, const std::vector<Rule>& rules) {
  const auto place = places.find("unit");
  if (place == places.end()) return nullptr;
  const CsvRow* first = nullptr;
  for (const CsvRow& row : table.rows) {
    if (std::any_of(rules.begin(), rules.end(), [&](const Rule& r) { return leaves_out(r, row); })) continue;
    if (first == nullptr) first = &row;
    if (row.cells[place->second] == first->cells[place->second]) continue;
    throw Error(ErrorKind::kData,
                where(table, row) + ": the unit is \"" + row.cells[place->second] + "\" and \"" +
                    first->cells[place->second] + "\" on line " + std::to_string(first->line),
                "one fit takes one unit: convert, or leave one out with --exclude");
  }
  return first;
}

LossUnit unit_of(const CsvTable& table, const Places& places, const PointsRequest& request,
                 const std::vector<Rule>& rules) {
  const CsvRow* row = row_with_unit(table, places, rules);
  if (const std::string text = row == nullptr ? "" : row->cells[places.at("unit")]; !text.empty()) {
    const auto unit = loss_unit_of(text);
    const std::string says = where(table, *row) + ": the unit is \"" + text + "\"";
    if (!unit && !request.unit)
      throw Error(ErrorKind::kData, says + ", which is none of nats/token, bits/token and bits/byte",
                  "write one of them, or name the unit of all losses with --loss-unit");
    if (unit && request.unit && *unit != *request.unit)
      throw Error(ErrorKind::kData, says + ", and --loss-unit says " + name_of(*request.unit), "leave out --loss-unit");
    if (unit) return *unit;
  }
  if (request.unit) return *request.unit;
  return loss_unit_of(table.columns[places.at("loss")]).value_or(LossUnit::kNatsPerToken);
}

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// A design may go from models of a thousand parameters to those of a billion, but then it has sizes between.
void check_sizes(const std::vector<ScalingPoint>& points) {
  constexpr double kGap = 100.0;
  for (const Variable variable : {Variable::kParams, Variable::kTokens}) {
    std::vector<const ScalingPoint*> known;
    for (const ScalingPoint& point : points) {
      if (point.at(variable)) known.push_back(&point);
    }
    const auto size = [&](const ScalingPoint* point) { return *point->at(variable); };
    std::sort(known.begin(), known.end(), [&](const auto* a, const auto* b) { return size(a) < size(b); });
    const auto gap = std::adjacent_find(known.begin(), known.end(),
                                        [&](const auto* a, const auto* b) { return size(b) >= kGap * size(a); });
    if (gap == known.end() || size(known.front()) >= 1e3 || size(known.back()) <= 1e6) continue;
    const ScalingPoint &least = *known.front(), &most = *known.back();
    throw Error(ErrorKind::kData,
                least.label + ": " + symbol_of(variable) + " is " + number(size(&least)) + ", and " +
                    number(size(&most)) + " at " + most.label + ", with a gap of " +
                    number(size(gap[1]) / size(gap[0])) + " times between two sizes: mixed units",
                "write all in one unit, or with K, M, B, T behind the number");
  }
}

// Losses a token of two tokenizers are no more alike than two units; bits/byte are, but tokens D are not: that is said.
void check_tokenizers(const CsvTable& table, const Places& places, const std::vector<const CsvRow*>& rows,
                      Points& result) {
  const auto place = places.find("tokenizer");
  if (place == places.end() || rows.empty()) return;
  std::map<std::string, std::size_t> counts;
  for (const CsvRow* row : rows) ++counts[row->cells[place->second]];
  if (counts.size() < 2) return;
  std::string text;
  for (const auto& [name, n] : counts) text += (text.empty() ? "" : ", ") + name + " " + std::to_string(n);
  const std::string rule = "--exclude " + table.columns[place->second] + "=" + counts.begin()->first;
  if (result.unit != LossUnit::kBitsPerByte)
    throw Error(ErrorKind::kData,
                table.source + ": models of " + std::to_string(counts.size()) + " tokenizers (" + text +
                    "), and losses in " + name_of(result.unit) + ": mixed units",
                "leave all but one out, as by " + rule + ", or give bits/byte");
  result.notes.push_back("of " + std::to_string(counts.size()) + " tokenizers (" + text +
                         "), whose tokens D and embeddings in N differ: " + rule + " leaves one out");
}

// C = 6 N D fills in the one of the three that is missing, and is checked where all are there.
void complete(ScalingPoint& point, std::set<std::string>& derived) {
  auto &n = point.at(Variable::kParams), &d = point.at(Variable::kTokens), &c = point.at(Variable::kFlops);
  if (n && d && c) {
    const double ratio = *c / (6.0 * *n * *d);
    if (ratio > 0.1 && ratio < 10.0) return;
    throw Error(ErrorKind::kData,
                point.label + ": C is " + number(*c) + ", but 6 N D is " + number(6.0 * *n * *d) + ": mixed units",
                "give the unit of the one that differs, such as --scale C=8.64e19 for PF-days");
  }
  if (n && d)
    c = 6.0 * *n * *d, derived.insert("C = 6 N D");
  else if (n && c)
    d = *c / (6.0 * *n), derived.insert("D = C / (6 N)");
  else if (d && c)
    n = *c / (6.0 * *d), derived.insert("N = C / (6 D)");
}

void check_positive(const ScalingPoint& point) {
  for (std::size_t v = 0; v < kVariables; ++v) {
    if (!point.x[v] || (*point.x[v] > 0.0 && std::isfinite(*point.x[v]))) continue;
    throw Error(ErrorKind::kData,
                point.label + ": " + symbol_of(static_cast<Variable>(v)) + " is " + number(*point.x[v]) +
                    ", not a positive number",
                "remove the row, or leave it out with --exclude");
  }
  if (!(point.loss > 0.0) || !std::isfinite(point.loss))
    throw Error(ErrorKind::kData, point.label + ": the loss is " + number(point.loss) + ", not a positive number",
                "remove the row, or leave it out with --exclude");
}

ScalingPoint point_of(const CsvTable& table, const CsvRow& row, const Places& places, const PointsRequest& request) {
  ScalingPoint point;
  point.label = where(table, row);
  const auto read = [&](const std::string& key) -> std::optional<double> {
    const auto place = places.find(key);
    if (place == places.end()) return std::nullopt;
    auto value = cell_number(table, row, place->second);
    if (const auto scale = request.scale.find(key); value && scale != request.scale.end()) *value *= scale->second;
    return value;
  };
  for (std::size_t v = 0; v < kVariables; ++v) point.x[v] = read(symbol_of(static_cast<Variable>(v)));
  const auto loss = read("loss");
  if (!loss) throw Error(ErrorKind::kData, point.label + ": no loss", "remove the row, or leave it out with --exclude");
  point.loss = *loss;
  point.weight = read("weight").value_or(1.0);
  check_positive(point);
  return point;
}

}  // namespace

std::string name_of(LossUnit unit) {
  return unit == LossUnit::kNatsPerToken ? "nats/token" : unit == LossUnit::kBitsPerToken ? "bits/token" : "bits/byte";
}

std::optional<LossUnit> loss_unit_of(const std::string& text) {
  const std::string name = normalised(text);
  if (name == "natstoken" || name == "natspertoken") return LossUnit::kNatsPerToken;
  if (name == "bitstoken" || name == "bitspertoken") return LossUnit::kBitsPerToken;
  if (name == "bitsbyte" || name == "bitsperbyte" || name == "bpb") return LossUnit::kBitsPerByte;
  return std::nullopt;
}

Points read_points(std::string_view csv, const std::string& source, const PointsRequest& request) {
  const CsvTable table = parse_csv(csv, source);
  const Places places = places_of(table, request);
  if (!places.count("loss"))
    throw Error(
        ErrorKind::kData, source + ": no column with the loss", "name it with --column loss=NAME; there are: " + [&] {
          std::string names;
          for (const std::string& column : table.columns) names += (names.empty() ? "" : ", ") + column;
          return names;
        }());
  std::vector<Rule> rules;
  for (const std::string& text : request.exclude) rules.push_back(parse_rule(text, table, places));
  Points result;
  result.n_rows = table.rows.size();
  for (const Rule& rule : rules) result.excluded.emplace_back(rule.text, 0);
  const LossUnit unit = unit_of(table, places, request, rules);
  double factor = 1.0;
  result.unit = unit;
  if (unit == LossUnit::kBitsPerToken) factor = kNatsPerBit;
  if (unit == LossUnit::kBitsPerByte && request.bytes_per_token) factor = kNatsPerBit * *request.bytes_per_token;
  if (factor != 1.0) {
    result.unit = LossUnit::kNatsPerToken;
    result.notes.push_back(
        "losses: " + name_of(unit) + " x ln 2" +
        (unit == LossUnit::kBitsPerByte ? " x " + number(*request.bytes_per_token) + " bytes/token" : "") +
        " = nats/token");
  }
  std::set<std::string> derived;
  std::vector<const CsvRow*> kept;
  for (const CsvRow& row : table.rows) {
    const auto rule = std::find_if(rules.begin(), rules.end(), [&](const Rule& r) { return leaves_out(r, row); });
    if (rule != rules.end()) {
      ++result.excluded[static_cast<std::size_t>(rule - rules.begin())].second;
      continue;
    }
    ScalingPoint point = point_of(table, row, places, request);
    point.loss *= factor;
    result.points.push_back(std::move(point));
    kept.push_back(&row);
    const auto text = [&](const char* key) {
      const auto place = places.find(key);
      return place == places.end() ? std::string() : row.cells[place->second];
    };
    result.sets.push_back(text("set"));
    result.runs.push_back(text("run"));
  }
  check_tokenizers(table, places, kept, result);
  check_sizes(result.points);
  for (ScalingPoint& point : result.points) complete(point, derived);
  result.notes.insert(result.notes.end(), derived.begin(), derived.end());
  return result;
}

}  // namespace lmbits
