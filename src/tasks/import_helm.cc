#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "src/core/json.h"
#include "src/tasks/importer.h"

namespace lmbits {
namespace {

// HELM's statistics hold run times and token counts too; these say how good an answer is (the main metrics of its schemas
// classic, lite and capabilities, and their kin).
const std::set<std::string>& helm_metrics() {
  static const std::set<std::string> names = {"exact_match",
                                              "exact_match@5",
                                              "quasi_exact_match",
                                              "quasi_exact_match@5",
                                              "prefix_exact_match",
                                              "prefix_exact_match@5",
                                              "quasi_prefix_exact_match",
                                              "quasi_prefix_exact_match@5",
                                              "exact_match_indicator",
                                              "final_number_exact_match",
                                              "exact_set_match",
                                              "iou_set_match",
                                              "f1_set_match",
                                              "f1_score",
                                              "classification_macro_f1",
                                              "classification_micro_f1",
                                              "rouge_1",
                                              "rouge_2",
                                              "rouge_l",
                                              "bleu_1",
                                              "bleu_4",
                                              "math_equiv",
                                              "math_equiv_chain_of_thought",
                                              "code_eval_acc",
                                              "pass",
                                              "bigcodebench_p@1",
                                              "RR@10",
                                              "RR@20",
                                              "NDCG@10",
                                              "NDCG@20",
                                              "chain_of_thought_correctness",
                                              "ifeval_strict_accuracy",
                                              "omni_math_accuracy",
                                              "wildbench_score_rescaled"};
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

// A statistic of unperturbed inputs. HELM leaves fields out that are None.
struct HelmStat {
  std::string metric, split, sub_split;
  std::optional<double> mean;
};

std::vector<HelmStat> helm_stats(const Importer& importer, const Json& json) {
  std::vector<HelmStat> stats;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string at = "[" + std::to_string(i) + "]";
    if (!json[i].is_object() || !json[i].contains("name") || !json[i]["name"].is_object())
      importer.refuse(at + ".name", "is missing or no object");
    const Json& name = json[i]["name"];
    HelmStat stat{text_or(name, "name"), text_or(name, "split"), text_or(name, "sub_split"), {}};
    if (!name.value("perturbation", Json()).is_null()) continue;
    if (stat.metric != "num_instances" && helm_metrics().count(stat.metric) == 0) continue;
    stat.mean = importer.number_at(at + ".mean", json[i].value("mean", Json()));
    stats.push_back(std::move(stat));
  }
  return stats;
}

// "test" where it has a score, else "valid".
std::string helm_split(const std::vector<HelmStat>& stats) {
  for (const HelmStat& stat : stats)
    if (stat.split == "test" && stat.metric != "num_instances" && stat.mean) return "test";
  return "valid";
}

}  // namespace

void import_helm(Importer& importer, const Json& json) {
  if (!json.is_array()) importer.refuse("the file", "is not a list of statistics", "give HELM's stats.json");
  const auto [benchmark_found, model_found] =
      helm_run(std::filesystem::absolute(importer.source).parent_path().filename().string());
  const std::string model = importer.model_or_refuse(model_found, "the folder's name");
  const std::string benchmark = importer.options.benchmark.empty() ? benchmark_found : importer.options.benchmark;
  if (benchmark.empty()) importer.refuse("the folder's name", "names no benchmark", "give --benchmark NAME");
  const std::vector<HelmStat> stats = helm_stats(importer, json);
  const std::string split = helm_split(stats);
  std::map<std::string, std::int64_t> n_of;  // sub-split -> questions
  std::set<std::string> metrics;
  for (const HelmStat& stat : stats)
    if (stat.split == split && stat.metric == "num_instances" && stat.mean)
      n_of[stat.sub_split] = std::llround(*stat.mean);
  for (const HelmStat& stat : stats) {
    if (stat.split != split || stat.metric == "num_instances") continue;
    const std::string metric = stat.metric + (stat.sub_split.empty() ? "" : "," + stat.sub_split);
    const auto n = n_of.find(stat.sub_split);
    if (!metrics.insert(metric).second)
      importer.leave_out(metric + ": there twice, the first is taken");
    else if (!stat.mean)
      importer.leave_out(metric + ": no value");
    else
      importer.add({model,
                    benchmark,
                    {},
                    metric,
                    *stat.mean,
                    n == n_of.end() ? std::nullopt : std::optional(n->second),
                    std::nullopt,
                    {}});
  }
  if (metrics.empty())
    importer.leave_out("no statistic of the splits test and valid is one of the " +
                       std::to_string(helm_metrics().size()) + " known measures of answers");
}

}  // namespace lmbits
