#include <algorithm>
#include <cmath>
#include <set>

#include "src/tasks/importer.h"

namespace lmbits {
namespace {

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

std::optional<std::size_t> find_any(const CsvTable& table, const std::vector<std::string>& names) {
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (std::find(names.begin(), names.end(), lower_case(table.columns[c])) != names.end()) return c;
  return std::nullopt;
}

// OpenCompass prints shares in percent; lengths and perplexities are as they are.
bool is_share(const std::string& metric) {
  const std::string name = lower_case(metric);
  for (const char* other : {"bpc", "bpb", "bits", "ppl", "perplexity", "loss", "latency", "length", "time"})
    if (name.find(other) != std::string::npos) return false;
  return true;
}

std::string cell_or(const CsvRow& row, std::optional<std::size_t> column, const std::string& otherwise) {
  return column && !row.cells[*column].empty() ? row.cells[*column] : otherwise;
}

void import_long(Importer& importer, const CsvTable& table, std::size_t model, std::size_t benchmark,
                 std::size_t value) {
  const auto metric = find_any(table, {"metric"}), area = find_any(table, {"area"}),
             n = find_any(table, {"n", "n_questions"}), error = find_any(table, {"stderr", "standard_error", "se"});
  const double scale = importer.options.percent ? 0.01 : 1.0;
  for (const CsvRow& row : table.rows) {
    const std::optional<double> number = csv_number(table, row, value);
    if (row.cells[model].empty() || row.cells[benchmark].empty())
      importer.refuse("line " + std::to_string(row.line), "has no model or no benchmark");
    if (!number) {
      importer.leave_out(row.cells[benchmark] + " of " + row.cells[model] + ": no value");
      continue;
    }
    Score score{row.cells[model], row.cells[benchmark], cell_or(row, area, ""), cell_or(row, metric, "score"),
                *number * scale,  std::nullopt,         std::nullopt,           {}};
    if (n)
      if (const auto questions = csv_number(table, row, *n)) score.n = std::llround(*questions);
    if (error)
      if (const auto standard_error = csv_number(table, row, *error)) score.standard_error = *standard_error * scale;
    importer.add(std::move(score));
  }
}

bool is_no_benchmark(const std::string& column) {
  const std::string name = lower_case(column);
  static const std::set<std::string> kOthers = {"average", "avg",        "mean",   "overall", "family",
                                                "cluster", "parameters", "params", "n"};
  for (const char* prefix : {"bpc", "bpb", "bits_per_", "ratio"})
    if (name.starts_with(prefix)) return true;
  return kOthers.count(name) > 0;
}

void import_wide(Importer& importer, const CsvTable& table, std::size_t model) {
  const double scale = importer.options.percent ? 0.01 : 1.0;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (c == model) continue;
    if (is_no_benchmark(table.columns[c])) {
      importer.leave_out("column " + table.columns[c] + ": not a benchmark");
      continue;
    }
    for (const CsvRow& row : table.rows) {
      const std::optional<double> number = csv_number(table, row, c);
      if (number)
        importer.add({row.cells[model], table.columns[c], {}, "score", *number * scale, std::nullopt, std::nullopt, {}},
                     lower_is_better_by_name(table.columns[c]));
      else
        importer.leave_out(table.columns[c] + " of " + row.cells[model] + ": no value");
    }
  }
}

}  // namespace

bool is_opencompass(const CsvTable& table) {
  return table.columns.size() > 4 && table.columns[0] == "dataset" && table.columns[1] == "version" &&
         table.columns[2] == "metric" && table.columns[3] == "mode";
}

void import_opencompass(Importer& importer, const CsvTable& table) {
  for (const CsvRow& row : table.rows) {
    if (row.cells[0].find("-----") != std::string::npos) continue;  // a heading
    for (std::size_t c = 4; c < row.cells.size(); ++c) {
      const std::optional<double> value = csv_number(table, row, c);
      if (!value) {
        importer.leave_out(row.cells[0] + " of " + table.columns[c] + ": no value");
        continue;
      }
      const std::string& metric = row.cells[2];
      const std::string model = importer.options.model.empty() ? table.columns[c] : importer.options.model;
      importer.add({model,
                    row.cells[0],
                    {},
                    metric,
                    is_share(metric) ? *value / 100.0 : *value,
                    std::nullopt,
                    std::nullopt,
                    {}});
    }
  }
}

void import_csv(Importer& importer, const CsvTable& table) {
  const auto model = find_any(table, {"model", "name"}), benchmark = find_any(table, {"benchmark", "task", "dataset"}),
             value = find_any(table, {"value", "score"});
  if (!model)
    importer.refuse("the header", "has no column \"model\"",
                    "long: model, benchmark, value; wide: model, a column a benchmark");
  if (benchmark && value)
    import_long(importer, table, *model, *benchmark, *value);
  else
    import_wide(importer, table, *model);
  const auto largest = std::max_element(importer.result.scores.begin(), importer.result.scores.end(),
                                        [](const Score& a, const Score& b) { return a.value < b.value; });
  if (!importer.options.percent && largest != importer.result.scores.end() && largest->value > 1.0)
    importer.result.warnings.push_back(largest->benchmark + " of " + largest->model +
                                       " is above 1: if these are percents, import them with --percent");
}

}  // namespace lmbits
