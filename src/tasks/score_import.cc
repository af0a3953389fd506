#include "src/tasks/score_import.h"

#include "src/core/csv.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/suggest.h"
#include "src/tasks/importer.h"

namespace lmbits {
namespace {

std::string format_of(std::string_view text, const std::string& source) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos)
    throw Error(ErrorKind::kData, source + " is empty", "see lmbits scores import --help for the formats");
  if (text[first] == '[') return "helm";
  if (text[first] != '{') return is_opencompass(parse_csv(text, source)) ? "opencompass" : "csv";
  const std::string_view line = text.substr(first, text.find('\n', first) - first);
  const Json first_line = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (first_line.is_object() && first_line.contains("benchmark") && first_line.contains("model")) return "jsonl";
  const Json json = Json::parse(without_nan(text), nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("config_general")) return "lighteval";
  if (json.is_object() && json.contains("results")) return "lm-eval";
  throw Error(
      ErrorKind::kData,
      source + (json.is_discarded() ? " is neither JSON nor CSV" : " has neither \"results\" nor \"config_general\""),
      "see lmbits scores import --help for the formats");
}

Json parse_or_refuse(const Importer& importer, std::string_view text) {
  Json json = Json::parse(without_nan(text), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) importer.refuse("the file", "is not JSON", "is it cut off?");
  if (!json.is_structured()) importer.refuse("the file", "is neither an object nor a list");
  return json;
}

}  // namespace

const std::vector<std::string>& import_formats() {
  static const std::vector<std::string> formats = {"lm-eval", "lighteval", "helm", "opencompass", "csv", "jsonl"};
  return formats;
}

ImportedScores import_scores(std::string_view text, const std::string& source, const ImportOptions& options) {
  Importer importer{source, options, {}};
  importer.result.format = options.format == "auto" ? format_of(text, source) : options.format;
  const std::string& format = importer.result.format;
  if (format == "jsonl") {
    for (Score& score : parse_scores(text, source)) {
      const std::string origin = score.source;
      const bool lower = score.lower_is_better;
      importer.add(std::move(score), lower);
      if (!origin.empty()) importer.result.scores.back().source = origin;
    }
  } else if (format == "lm-eval") {
    import_lm_eval(importer, parse_or_refuse(importer, text));
  } else if (format == "lighteval") {
    import_lighteval(importer, parse_or_refuse(importer, text));
  } else if (format == "helm") {
    import_helm(importer, parse_or_refuse(importer, text));
  } else if (format == "opencompass" || format == "csv") {
    const CsvTable table = parse_csv(text, source);
    if (format == "opencompass" && !is_opencompass(table))
      importer.refuse("the header", "is not dataset, version, metric, mode, MODEL ...");
    if (format == "opencompass")
      import_opencompass(importer, table);
    else
      import_csv(importer, table);
  } else {
    throw Error(ErrorKind::kUsage, "unknown format " + format, suggestion(format, import_formats()));
  }
  return std::move(importer.result);
}

}  // namespace lmbits
