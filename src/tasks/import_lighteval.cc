#include <cmath>
#include <set>

#include "src/core/json.h"
#include "src/tasks/importer.h"

namespace lmbits {
namespace {

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

}  // namespace

void import_lighteval(Importer& importer, const Json& json) {
  const std::string model = importer.model_or_refuse(lighteval_model(importer.object_at(json, "config_general")),
                                                     "\"config_general\".\"model_name\"");
  const Json& results = importer.object_at(json, "results");
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
      const std::optional<double> number = importer.number_at("results." + key + "." + metric, value);
      if (!number || !std::isfinite(*number)) {
        importer.leave_out(task.name + " " + metric + ": no value");
        continue;
      }
      Score score{model, task.name, {}, metric, *number, lighteval_n(json, key), std::nullopt, {}};
      if (result.contains(metric + "_stderr"))
        score.standard_error =
            importer.number_at("results." + key + "." + metric + "_stderr", result[metric + "_stderr"]);
      importer.add(std::move(score));
    }
  }
  if (n_parts > 0) importer.leave_out(std::to_string(n_parts) + " parts of averages (--subtasks takes them)");
}

}  // namespace lmbits
