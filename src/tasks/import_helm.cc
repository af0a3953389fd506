#include <cmath>
#include <filesystem>
#include <set>

#include "src/tasks/importer.h"

namespace lmbits {
namespace {

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

}  // namespace

void import_helm(Importer& importer, const Json& json) {
  if (!json.is_array()) importer.refuse("the file", "is not a list of statistics", "give HELM's stats.json");
  const auto [benchmark_found, model_found] =
      helm_run(std::filesystem::absolute(importer.source).parent_path().filename().string());
  const std::string model = importer.model_or_refuse(model_found, "the folder's name");
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
      const std::optional<double> mean = importer.number_at(at + ".mean", json[i].value("mean", Json()));
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

}  // namespace lmbits
