#include <algorithm>
#include <cmath>
#include <set>

#include "src/core/json.h"
#include "src/tasks/importer.h"

namespace lmbits {
namespace {

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

// A group without an aggregate has an alias and blanks only.
bool has_number(const Json& result) {
  return result.is_object() && std::any_of(result.items().begin(), result.items().end(), [](const auto& item) {
           return item.value().is_number() && !item.key().starts_with("sample_");
         });
}

// The tasks that are parts of a group which has a result of its own.
std::set<std::string> parts_of_groups(const Json& json) {
  std::set<std::string> parts;
  const Json groups = json.value("groups", Json::object()), members = json.value("group_subtasks", Json::object());
  if (!groups.is_object() || !members.is_object()) return parts;
  for (const auto& [group, tasks] : members.items()) {
    if (!has_number(groups.value(group, Json())) || !tasks.is_array()) continue;
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

// higher_is_better.TASK.METRIC, turned round.
std::optional<bool> lm_eval_lower_is_better(const Json& json, const std::string& task, const std::string& metric) {
  const Json all = json.value("higher_is_better", Json::object());
  const Json of_task = all.is_object() ? all.value(task, Json()) : Json();
  const Json higher = of_task.is_object() ? of_task.value(metric, Json()) : Json();
  return higher.is_boolean() ? std::optional(!higher.get<bool>()) : std::nullopt;
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
    const std::optional<double> number = importer.number_at("results." + task + "." + key, value);
    if (!number || !std::isfinite(*number)) {
      importer.leave_out(task + " " + metric.name() + ": no value");
      continue;
    }
    Score score{model,        task, lm_eval_area(json, task), metric.name(), *number, lm_eval_n(json, task, result),
                std::nullopt, {}};
    const std::string error_key = metric.error_key(old_style);
    if (result.contains(error_key))
      score.standard_error = importer.number_at("results." + task + "." + error_key, result[error_key]);
    importer.add(std::move(score), lm_eval_lower_is_better(json, task, metric.metric));
  }
}

}  // namespace

void import_lm_eval(Importer& importer, const Json& json) {
  const std::string model =
      importer.model_or_refuse(lm_eval_model(json), "neither \"model_name\" nor \"config\".\"model_args\"");
  const Json& results = importer.object_at(json, "results");
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

}  // namespace lmbits
