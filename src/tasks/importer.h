// What the readers of each tool's files share. Only src/tasks/import_*.cc and score_import.cc include it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "src/core/csv.h"
#include "src/core/json_fwd.h"
#include "src/tasks/score_import.h"

namespace lmbits {

struct Importer {
  const std::string& source;
  const ImportOptions& options;
  ImportedScores result;

  // Throws Error(kData): "SOURCE: KEY WHAT".
  [[noreturn]] void refuse(const std::string& key, const std::string& what, const std::string& hint = {}) const;
  void leave_out(const std::string& what) { result.left_out.push_back(what); }
  // With the file's name, and the area that the options give the benchmark. `lower_is_better`: what the file says of the
  // metric; else its name tells.
  void add(Score score, std::optional<bool> lower_is_better = std::nullopt);
  // The options' model, else the file's; refuses where there is neither.
  std::string model_or_refuse(const std::string& found, const std::string& keys) const;
  // A number, or nullopt for the ways in which tools write that there is none ("N/A", null, ...).
  std::optional<double> number_at(const std::string& key, const Json& value) const;
  const Json& object_at(const Json& json, const char* key) const;
};

// The text at `key`, where there is one.
std::string text_or(const Json& object, const char* key, const std::string& otherwise = {});
// JSON as Python writes it: NaN, Infinity and -Infinity outside texts become null.
std::string without_nan(std::string_view text);

void import_lm_eval(Importer& importer, const Json& json);
void import_lighteval(Importer& importer, const Json& json);
void import_helm(Importer& importer, const Json& json);
bool is_opencompass(const CsvTable& table);
void import_opencompass(Importer& importer, const CsvTable& table);
void import_csv(Importer& importer, const CsvTable& table);

}  // namespace lmbits
