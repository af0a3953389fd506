#include "src/tasks/scores.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

constexpr int kSchema = 1;

[[noreturn]] void refuse(const std::string& where, const std::string& key, const Json& value, const char* wanted) {
  throw Error(ErrorKind::kData,
              where + ": \"" + key + "\" is " + (value.is_null() ? "missing" : value.dump()) + ", not " + wanted,
              "docs/formats.md describes a line of scores");
}

std::string text_at(const Json& line, const char* key, bool required, const std::string& where) {
  const Json value = line.value(key, Json());
  if (value.is_null() && !required) return {};
  if (!value.is_string() || (required && value.get<std::string>().empty())) refuse(where, key, value, "a text");
  return value.get<std::string>();
}

// The letters between other characters, in lower case: "Word_Perplexity,none" -> {"word", "perplexity"}.
std::set<std::string> words_of(const std::string& metric) {
  std::set<std::string> words;
  std::string word;
  for (const char c : metric.substr(0, metric.find(',')) + " ") {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (lower >= 'a' && lower <= 'z') {
      word += lower;
    } else if (!word.empty()) {
      words.insert(word);
      word.clear();
    }
  }
  return words;
}

Score parse_line(const Json& line, const std::string& where) {
  Score score;
  score.model = text_at(line, "model", true, where);
  score.benchmark = text_at(line, "benchmark", true, where);
  score.area = text_at(line, "area", false, where);
  score.metric = text_at(line, "metric", true, where);
  score.source = text_at(line, "source", false, where);
  score.value = line["value"].get<double>();
  const Json n = line.value("n", Json()), error = line.value("stderr", Json());
  if (!n.is_null()) {
    if (!n.is_number_integer() || n.get<std::int64_t>() < 0) refuse(where, "n", n, "a number of questions");
    score.n = n.get<std::int64_t>();
  }
  if (!error.is_null()) {
    if (!error.is_number() || error.get<double>() < 0.0) refuse(where, "stderr", error, "a standard error");
    score.standard_error = error.get<double>();
  }
  const Json lower = line.value("lower_is_better", Json());
  if (!lower.is_null() && !lower.is_boolean()) refuse(where, "lower_is_better", lower, "true or false");
  score.lower_is_better = lower.is_null() ? lower_is_better_by_name(score.metric) : lower.get<bool>();
  return score;
}

}  // namespace

bool lower_is_better_by_name(const std::string& metric) {
  static const std::set<std::string> kLower = {"perplexity", "ppl",    "bits", "bpb", "bpc", "loss", "nll", "brier",
                                               "error",      "errors", "wer",  "cer", "ter", "mse",  "mae", "rmse"};
  const std::set<std::string> words = words_of(metric);
  return words.count("margin") == 0 &&
         std::any_of(words.begin(), words.end(), [](const std::string& word) { return kLower.count(word) > 0; });
}

Json to_json(const Score& score) {
  return {{"schema", kSchema},
          {"model", score.model},
          {"benchmark", score.benchmark},
          {"area", score.area.empty() ? Json(nullptr) : Json(score.area)},
          {"metric", score.metric},
          {"value", score.value},
          {"n", to_json_or_null(score.n)},
          {"stderr", to_json_or_null(score.standard_error)},
          {"lower_is_better", score.lower_is_better},
          {"source", score.source.empty() ? Json(nullptr) : Json(score.source)}};
}

std::string to_jsonl(const std::vector<Score>& scores) {
  std::string text;
  for (const Score& score : scores) text += to_json(score).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return text;
}

std::vector<Score> parse_scores(std::string_view jsonl, const std::string& source) {
  std::vector<Score> scores;
  std::size_t number = 0;
  while (!jsonl.empty()) {
    ++number;
    const std::string_view text = jsonl.substr(0, jsonl.find('\n'));
    jsonl.remove_prefix(std::min(text.size() + 1, jsonl.size()));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = source + ", line " + std::to_string(number);
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object())
      throw Error(ErrorKind::kData, where + " is not a JSON object", "a line of scores is {\"model\": ...}");
    if (line.value("schema", Json(kSchema)) != Json(kSchema))
      throw Error(
          ErrorKind::kData,
          where + ": \"schema\" is " + line["schema"].dump() + ", this program reads " + std::to_string(kSchema),
          "import the scores again");
    const Json value = line.value("value", Json());
    if (line.contains("value") && value.is_null()) continue;
    if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(where, "value", value, "a number");
    scores.push_back(parse_line(line, where));
  }
  return scores;
}

}  // namespace lmbits
