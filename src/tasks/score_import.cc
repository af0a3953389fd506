#include "src/tasks/score_import.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "src/core/csv.h"
#include "src/core/error.h"
#include "src/core/suggest.h"

namespace lmbits {
namespace {

struct Importer {
  const std::string& source;
  const ImportOptions& options;
  ImportedScores result;

  [[noreturn]] void refuse(const std::string& key, const std::string& what, const std::string& hint = {}) const {
    throw Error(ErrorKind::kData, source + ": " + key + " " + what, hint);
  }
  void leave_out(const std::string& what) { result.left_out.push_back(what); }
  void add(Score score) {
    score.source = source;
    const auto area = options.areas.find(score.benchmark);
    if (area != options.areas.end())
      score.area = area->second;
    else if (score.area.empty())
      score.area = options.area;
    result.scores.push_back(std::move(score));
  }
};

// ---- JSON as Python writes it ----

// NaN, Infinity and -Infinity outside texts, which Python's json writes and JSON has not, become null.
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

std::string text_or(const Json& object, const char* key, const std::string& otherwise = {}) {
  if (!object.is_object()) return otherwise;
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

const Json& object_at(const Importer& importer, const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) importer.refuse(std::string("\"") + key + "\"", "is missing");
  if (!found->is_object())
    importer.refuse(std::string("\"") + key + "\"", "is " + found->dump().substr(0, 40) + ", not an object");
  return *found;
}

// A number, or nullopt for the ways in which tools write that there is none.
std::optional<double> number_at(const Importer& importer, const std::string& key, const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) {
    const std::string text = value.get<std::string>();
    static const std::set<std::string> kUndefined = {"N/A", "n/a", "NA", "nan", "NaN", "", " ", "-", "None"};
    if (kUndefined.count(text) > 0) return std::nullopt;
  }
  importer.refuse(key, "is " + value.dump().substr(0, 60) + ", not a number");
}

// ---- lm-eval ----

// "acc,none" -> {"acc", ""}; "exact_match,strict-match" -> {"exact_match", "strict-match"}; "acc" -> {"acc", ""}.
struct MetricKey {
  std::string metric, filter;
  std::string name() const { return filter.empty() ? metric : metric + "," + filter; }
  std::string error_key(bool old_style) const {
    return metric + "_stderr" + (old_style ? "" : "," + (filter.empty() ? "none" : filter));
  }
};

MetricKey split_key(const std::string& key) {
  const std::size_t comma = key.find(',');
  if (comma == std::string::npos) return {key, ""};
  const std::string filter = key.substr(comma + 1);
  return {key.substr(0, comma), filter == "none" ? "" : filter};
}

std::string lm_eval_model(const Json& json) {
  const std::string name = text_or(json, "model_name");
  if (!name.empty()) return name;
  const Json config = json.value("config", Json::object());
  const Json arguments = config.is_object() ? config.value("model_args", Json()) : Json();
  if (arguments.is_object()) return text_or(arguments, "pretrained", text_or(config, "model"));
  const std::string text = arguments.is_string() ? arguments.get<std::string>() : "";
  const std::size_t at = ("," + text).find(",pretrained=");
  if (at != std::string::npos) {
    const std::string rest = text.substr(at + std::string("pretrained=").size());
    return rest.substr(0, rest.find(','));
  }
  return text_or(config, "model");
}

// The tasks that are parts of a group which has a result of its own.
std::set<std::string> parts_of_groups(const Json& json) {
  std::set<std::string> parts;
  const Json groups = json.value("groups", Json::object()), members = json.value("group_subtasks", Json::object());
  if (!groups.is_object() || !members.is_object()) return parts;
  for (const auto& [group, tasks] : members.items()) {
    if (!groups.contains(group) || !tasks.is_array()) continue;
    for (const Json& task : tasks)
      if (task.is_string() && task.get<std::string>() != group) parts.insert(task.get<std::string>());
  }
  return parts;
}

std::optional<std::int64_t> lm_eval_n(const Json& json, const std::string& task, const Json& result) {
  const Json samples = json.value("n-samples", Json::object());
  if (samples.is_object() && samples.contains(task) && samples[task].is_object()) {
    const Json n = samples[task].value("effective", Json());
    if (n.is_number_integer()) return n.get<std::int64_t>();
  }
  const Json n = result.value("sample_len", Json());
  return n.is_number_integer() ? std::optional(n.get<std::int64_t>()) : std::nullopt;
}

// configs.TASK.metadata.area, which `lmbits choice` writes.
std::string lm_eval_area(const Json& json, const std::string& task) {
  const Json configs = json.value("configs", Json::object());
  const Json config = configs.is_object() ? configs.value(task, Json::object()) : Json();
  return config.is_object() ? text_or(config.value("metadata", Json()), "area") : "";
}

void import_lm_eval_task(Importer& importer, const Json& json, const std::string& model, const std::string& task,
                         const Json& result) {
  if (!result.is_object()) importer.refuse("results." + task, "is " + result.dump().substr(0, 40) + ", not an object");
  const bool old_style = std::none_of(result.items().begin(), result.items().end(),
                                      [](const auto& item) { return item.key().find(',') != std::string::npos; });
  static const std::set<std::string> kNoMetric = {"alias",        "sample_len", "bypass", "name",
                                                  "sample_count", "samples",    "groups"};
  for (const auto& [key, value] : result.items()) {
    const MetricKey metric = split_key(key);
    if (kNoMetric.count(metric.metric) > 0 || metric.metric.ends_with("_stderr") ||
        (!old_style && key.find(',') == std::string::npos))
      continue;
    const std::optional<double> number = number_at(importer, "results." + task + "." + key, value);
    if (!number || !std::isfinite(*number)) {
      importer.leave_out(task + " " + metric.name() + ": no value");
      continue;
    }
    Score score{model,        task, lm_eval_area(json, task), metric.name(), *number, lm_eval_n(json, task, result),
                std::nullopt, {}};
    const std::string error_key = metric.error_key(old_style);
    if (result.contains(error_key))
      score.standard_error = number_at(importer, "results." + task + "." + error_key, result[error_key]);
    importer.add(std::move(score));
  }
}

std::string model_or_refuse(const Importer& importer, const std::string& found, const std::string& keys) {
  const std::string model = importer.options.model.empty() ? found : importer.options.model;
  if (model.empty()) importer.refuse(keys, "names no model", "give --model NAME");
  return model;
}

void import_lm_eval(Importer& importer, const Json& json) {
  const std::string model =
      model_or_refuse(importer, lm_eval_model(json), "neither \"model_name\" nor \"config\".\"model_args\"");
  const Json& results = object_at(importer, json, "results");
  const std::set<std::string> parts = importer.options.subtasks ? std::set<std::string>() : parts_of_groups(json);
  std::size_t n_parts = 0;
  for (const auto& [task, result] : results.items()) {
    if (parts.count(task) > 0)
      ++n_parts;
    else
      import_lm_eval_task(importer, json, model, task, result);
  }
  const Json groups = json.value("groups", Json::object());
  for (const auto& [group, result] : groups.items())
    if (!results.contains(group)) import_lm_eval_task(importer, json, model, group, result);
  if (n_parts > 0)
    importer.leave_out(std::to_string(n_parts) +
                       " parts of groups that have a score of their own (--subtasks takes them)");
}

// ---- lighteval ----

struct LightevalTask {
  std::string name, group;  // "mmlu:law" is part of "mmlu"
  bool average = false;     // "mmlu:_average"
};

// "leaderboard|mmlu:law|5|0", "lighteval|gsm8k|0" or "gsm8k|0".
LightevalTask lighteval_task(const std::string& key) {
  std::vector<std::string> fields(1);
  for (const char c : key) {
    if (c == '|')
      fields.emplace_back();
    else
      fields.back() += c;
  }
  const bool first_is_task =
      fields.size() == 1 || (fields.size() == 2 && fields[1].find_first_not_of("0123456789") == std::string::npos);
  LightevalTask task{first_is_task ? fields[0] : fields[1], "", false};
  const std::size_t colon = task.name.find(':');
  if (colon == std::string::npos) return task;
  task.group = task.name.substr(0, colon);
  task.average = task.name.substr(colon + 1) == "_average";
  if (task.average) task.name = task.group;
  return task;
}

std::optional<std::int64_t> lighteval_n(const Json& json, const std::string& key) {
  const Json tasks = json.value("config_tasks", Json::object());
  if (!tasks.is_object()) return std::nullopt;
  for (std::string name = key; !name.empty();
       name = name.substr(0, name.rfind('|') == std::string::npos ? 0 : name.rfind('|'))) {
    if (!tasks.contains(name) || !tasks[name].is_object()) continue;
    for (const char* count : {"effective_num_docs", "original_num_docs"}) {
      const Json n = tasks[name].value(count, Json());
      if (n.is_number_integer() && n.get<std::int64_t>() > 0) return n.get<std::int64_t>();
    }
  }
  return std::nullopt;
}

std::string lighteval_model(const Json& general) {
  const std::string name = text_or(general, "model_name");
  return name.empty() && general.contains("model_config") ? text_or(general["model_config"], "model_name") : name;
}

void import_lighteval(Importer& importer, const Json& json) {
  const std::string model = model_or_refuse(importer, lighteval_model(object_at(importer, json, "config_general")),
                                            "\"config_general\".\"model_name\"");
  const Json& results = object_at(importer, json, "results");
  std::set<std::string> averaged;
  for (const auto& item : results.items()) {
    const LightevalTask task = lighteval_task(item.key());
    if (task.average) averaged.insert(task.group);
  }
  std::size_t n_parts = 0;
  for (const auto& [key, result] : results.items()) {
    if (key == "all") continue;  // the mean over all tasks
    if (!result.is_object()) importer.refuse("results." + key, "is " + result.dump().substr(0, 40) + ", not an object");
    const LightevalTask task = lighteval_task(key);
    if (!importer.options.subtasks && !task.average && averaged.count(task.group) > 0) {
      ++n_parts;
      continue;
    }
    for (const auto& [metric, value] : result.items()) {
      if (metric.ends_with("_stderr")) continue;
      const std::optional<double> number = number_at(importer, "results." + key + "." + metric, value);
      if (!number || !std::isfinite(*number)) {
        importer.leave_out(task.name + " " + metric + ": no value");
        continue;
      }
      Score score{model, task.name, {}, metric, *number, lighteval_n(json, key), std::nullopt, {}};
      if (result.contains(metric + "_stderr"))
        score.standard_error =
            number_at(importer, "results." + key + "." + metric + "_stderr", result[metric + "_stderr"]);
      importer.add(std::move(score));
    }
  }
  if (n_parts > 0) importer.leave_out(std::to_string(n_parts) + " parts of averages (--subtasks takes them)");
}

// ---- HELM ----

// HELM's statistics hold run times and token counts too; these are the ones that say how good an answer is.
const std::set<std::string>& helm_metrics() {
  static const std::set<std::string> names = {"exact_match",
                                              "quasi_exact_match",
                                              "prefix_exact_match",
                                              "quasi_prefix_exact_match",
                                              "f1_score",
                                              "rouge_1",
                                              "rouge_2",
                                              "rouge_l",
                                              "bleu_1",
                                              "bleu_4",
                                              "math_equiv",
                                              "math_equiv_chain_of_thought",
                                              "code_eval_acc",
                                              "pass",
                                              "classification_macro_f1",
                                              "classification_micro_f1",
                                              "RR@10",
                                              "NDCG@10",
                                              "final_number_exact_match",
                                              "chain_of_thought_correctness"};
  return names;
}

// "mmlu:subject=law,model=openai_gpt2" -> {"mmlu:subject=law", "openai_gpt2"}; HELM's folder of a run.
std::pair<std::string, std::string> helm_run(const std::string& folder) {
  std::string benchmark, model;
  std::size_t begin = 0;
  while (begin <= folder.size()) {
    const std::size_t end = std::min(folder.find(',', begin), folder.size());
    std::string part = folder.substr(begin, end - begin);
    const std::size_t at = part.find("model=");
    if (at == 0 || (at != std::string::npos && part[at - 1] == ':')) {
      model = part.substr(at + 6);
      part = part.substr(0, at == 0 ? 0 : at - 1);
    }
    if (!part.empty()) benchmark += (benchmark.empty() ? "" : ",") + part;
    begin = end + 1;
  }
  return {model.empty() ? "" : benchmark, model};
}

void import_helm(Importer& importer, const Json& json) {
  if (!json.is_array()) importer.refuse("the file", "is not a list of statistics", "give HELM's stats.json");
  const auto [benchmark_found, model_found] =
      helm_run(std::filesystem::absolute(importer.source).parent_path().filename().string());
  const std::string model = model_or_refuse(importer, model_found, "the folder's name");
  const std::string benchmark = importer.options.benchmark.empty() ? benchmark_found : importer.options.benchmark;
  if (benchmark.empty()) importer.refuse("the folder's name", "names no benchmark", "give --benchmark NAME");
  std::optional<std::int64_t> n;
  std::vector<Score> scores;
  std::string split;  // test where it is there
  for (const std::string& wanted : {std::string("test"), std::string("valid")}) {
    for (std::size_t i = 0; i < json.size(); ++i) {
      const std::string at = "[" + std::to_string(i) + "]";
      if (!json[i].is_object() || !json[i].contains("name") || !json[i]["name"].is_object())
        importer.refuse(at + ".name", "is missing or no object");
      const Json& name = json[i]["name"];
      if (text_or(name, "split") != wanted || name.contains("perturbation") || (!split.empty() && split != wanted))
        continue;
      const std::string metric = text_or(name, "name");
      if (metric != "num_instances" && helm_metrics().count(metric) == 0) continue;
      const std::optional<double> mean = number_at(importer, at + ".mean", json[i].value("mean", Json()));
      if (metric == "num_instances") {
        if (mean) n = std::llround(*mean);
      } else if (!mean || !std::isfinite(*mean)) {
        importer.leave_out(metric + ": no value");
      } else {
        split = wanted;
        scores.push_back({model, benchmark, {}, metric, *mean, std::nullopt, std::nullopt, {}});
      }
    }
  }
  for (Score& score : scores) {
    score.n = n;
    importer.add(std::move(score));
  }
}

// ---- CSV ----

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

bool is_opencompass(const CsvTable& table) {
  return table.columns.size() > 4 && table.columns[0] == "dataset" && table.columns[1] == "version" &&
         table.columns[2] == "metric" && table.columns[3] == "mode";
}

// OpenCompass prints shares in percent; lengths and perplexities are as they are.
bool is_share(const std::string& metric) {
  const std::string name = lower_case(metric);
  for (const char* other : {"bpc", "bpb", "bits", "ppl", "perplexity", "loss", "latency", "length", "time"})
    if (name.find(other) != std::string::npos) return false;
  return true;
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
        importer.add(
            {row.cells[model], table.columns[c], {}, "score", *number * scale, std::nullopt, std::nullopt, {}});
      else
        importer.leave_out(table.columns[c] + " of " + row.cells[model] + ": no value");
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

// ---- which of them is it? ----

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
      importer.add(std::move(score));
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
