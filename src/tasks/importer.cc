#include "src/tasks/importer.h"

#include <set>

#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {

void Importer::refuse(const std::string& key, const std::string& what, const std::string& hint) const {
  throw Error(ErrorKind::kData, source + ": " + key + " " + what, hint);
}

void Importer::add(Score score, std::optional<bool> lower_is_better) {
  score.source = source;
  score.lower_is_better = lower_is_better.value_or(lower_is_better_by_name(score.metric));
  const auto area = options.areas.find(score.benchmark);
  if (area != options.areas.end())
    score.area = area->second;
  else if (score.area.empty())
    score.area = options.area;
  result.scores.push_back(std::move(score));
}

std::string Importer::model_or_refuse(const std::string& found, const std::string& keys) const {
  const std::string model = options.model.empty() ? found : options.model;
  if (model.empty()) refuse(keys, "names no model", "give --model NAME");
  return model;
}

std::optional<double> Importer::number_at(const std::string& key, const Json& value) const {
  if (value.is_number()) return value.get<double>();
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) {
    const std::string text = value.get<std::string>();
    static const std::set<std::string> kUndefined = {"N/A", "n/a", "NA", "nan", "NaN", "", " ", "-", "None"};
    if (kUndefined.count(text) > 0) return std::nullopt;
  }
  refuse(key, "is " + value.dump().substr(0, 60) + ", not a number");
}

const Json& Importer::object_at(const Json& json, const char* key) const {
  const auto found = json.find(key);
  if (found == json.end()) refuse(std::string("\"") + key + "\"", "is missing");
  if (!found->is_object())
    refuse(std::string("\"") + key + "\"", "is " + found->dump().substr(0, 40) + ", not an object");
  return *found;
}

std::string text_or(const Json& object, const char* key, const std::string& otherwise) {
  if (!object.is_object()) return otherwise;
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

std::string without_nan(std::string_view text) {
  std::string clean;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\' && i + 1 < text.size()) {
      clean += c;
      clean += text[++i];
      continue;
    }
    if (c == '"') quoted = !quoted;
    bool replaced = false;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (quoted || replaced || !text.substr(i).starts_with(word)) continue;
      clean += "null";
      i += word.size() - 1;
      replaced = true;
    }
    if (!replaced) clean += c;
  }
  return clean;
}

}  // namespace lmbits
