#include "src/tasks/choice_score.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/stats/normal.h"
#include "src/stats/student_t.h"

namespace lmbits {
namespace {

[[noreturn]] void refuse(const std::string& key) {
  throw Error(ErrorKind::kData, "answered question: `" + key + "` is missing or of another type",
              "the fields are listed in docs/formats.md");
}

template <typename Is>
const Json& at(const Json& json, const char* key, Is is) {
  const auto found = json.find(key);
  if (found == json.end() || !is(*found)) refuse(key);
  return *found;
}

template <typename Cost>
std::size_t cheapest(const std::vector<ContinuationBits>& continuations, Cost cost) {
  const auto by_cost = [&](const ContinuationBits& a, const ContinuationBits& b) { return cost(a) < cost(b); };
  return static_cast<std::size_t>(std::min_element(continuations.begin(), continuations.end(), by_cost) -
                                  continuations.begin());
}

// How many bits fewer the right choice costs than the best of the others.
double margin(const std::vector<ContinuationBits>& continuations, std::size_t answer) {
  double best_other = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < continuations.size(); ++i)
    if (i != answer) best_other = std::min(best_other, continuations[i].bits);
  return best_other - continuations[answer].bits;
}

ChoiceMetric metric_of(const std::string& name, const std::vector<double>& values, bool share, double level) {
  const auto n = static_cast<double>(values.size());
  ChoiceMetric metric{name, 0.0, {}, {}, {}};
  double squares = 0.0;
  for (const double value : values) metric.value += value / n;
  for (const double value : values) squares += (value - metric.value) * (value - metric.value);
  if (n > 1) metric.standard_error = std::sqrt(squares / (n - 1) / n);
  if (share) {
    double k = 0.0;
    for (const double value : values) k += value;
    metric.value = k / n;
    const auto [lo, hi] = wilson_interval(k, n, level);
    metric.lo = lo, metric.hi = hi;
  } else if (metric.standard_error) {
    const double reach = student_t_quantile((1 + level) / 2, n - 1) * *metric.standard_error;
    metric.lo = metric.value - reach, metric.hi = metric.value + reach;
  }
  return metric;
}

// The values of one kind's questions, one a question.
struct Values {
  std::optional<std::string> area;  // of the first sound question
  std::vector<double> acc, acc_norm, acc_per_token, margin, exact, answer_bits;

  void add(const Question& question, const std::vector<ContinuationBits>& c) {
    answer_bits.push_back(c[question.answer].bits);
    if (question.exact) {
      exact.push_back(c[0].greedy ? 1 : 0);
      return;
    }
    const Picks picks = picks_of(c);
    acc.push_back(picks.bits == question.answer ? 1 : 0);
    acc_norm.push_back(picks.per_byte == question.answer ? 1 : 0);
    acc_per_token.push_back(picks.per_token == question.answer ? 1 : 0);
    margin.push_back(lmbits::margin(c, question.answer));
  }

  std::vector<ChoiceMetric> metrics(double level) const {
    std::vector<ChoiceMetric> result;
    const auto put = [&](const char* name, const std::vector<double>& values, bool share) {
      if (!values.empty()) result.push_back(metric_of(name, values, share, level));
    };
    put("acc", acc, true);
    put("acc_norm", acc_norm, true);
    put("acc_per_token", acc_per_token, true);
    put("margin_bits", margin, false);
    put("exact_match", exact, true);
    put("answer_bits", answer_bits, false);
    return result;
  }
};

}  // namespace

Json to_json(const AnsweredQuestion& answered, const Question& question) {
  Json json = {{"id", answered.id}};
  if (!answered.error.empty()) {
    json["status"] = "failed";
    json["error"] = answered.error;
    return json;
  }
  json["status"] = "ok";
  json["truncated"] = answered.truncated;
  json["answer"] = question.answer;
  if (!question.exact) {
    const Picks picks = picks_of(answered.continuations);
    json["picked"] = {{"acc", picks.bits}, {"acc_norm", picks.per_byte}, {"acc_per_token", picks.per_token}};
  }
  for (const char* key : {"bits", "n_bytes", "n_tokens", "greedy"}) json[key] = Json::array();
  for (const ContinuationBits& c : answered.continuations) {
    json["bits"].push_back(c.bits);
    json["n_bytes"].push_back(c.n_bytes);
    json["n_tokens"].push_back(c.n_tokens);
    json["greedy"].push_back(c.greedy);
  }
  return json;
}

AnsweredQuestion answered_from_json(const Json& json) {
  const auto text = [](const Json& j) { return j.is_string(); };
  const auto list = [](const Json& j) { return j.is_array(); };
  AnsweredQuestion answered;
  answered.id = at(json, "id", text).get<std::string>();
  if (at(json, "status", text) == "failed") {
    answered.error = at(json, "error", text).get<std::string>();
    return answered;
  }
  answered.truncated = at(json, "truncated", [](const Json& j) { return j.is_boolean(); }).get<bool>();
  const Json &bits = at(json, "bits", list), &n_bytes = at(json, "n_bytes", list),
             &n_tokens = at(json, "n_tokens", list), &greedy = at(json, "greedy", list);
  if (n_bytes.size() != bits.size() || n_tokens.size() != bits.size() || greedy.size() != bits.size()) refuse("bits");
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (!bits[i].is_number() || !n_bytes[i].is_number_integer() || !n_tokens[i].is_number_integer() ||
        !greedy[i].is_boolean())
      refuse("bits");
    answered.continuations.push_back({bits[i].get<double>(), n_bytes[i].get<std::int64_t>(),
                                      n_tokens[i].get<std::int64_t>(), greedy[i].get<bool>()});
  }
  return answered;
}

Picks picks_of(const std::vector<ContinuationBits>& continuations) {
  LMBITS_CHECK(!continuations.empty());
  return {cheapest(continuations, [](const ContinuationBits& c) { return c.bits; }),
          cheapest(continuations, [](const ContinuationBits& c) { return c.bits / static_cast<double>(c.n_bytes); }),
          cheapest(continuations, [](const ContinuationBits& c) { return c.bits / static_cast<double>(c.n_tokens); })};
}

std::pair<double, double> wilson_interval(double k, double n, double level) {
  const double z = normal_quantile((1 + level) / 2), z2 = z * z, p = k / n;
  const double centre = p + z2 / (2 * n), reach = z * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n)), scale = 1 + z2 / n;
  return {k == 0 ? 0.0 : (centre - reach) / scale, k == n ? 1.0 : (centre + reach) / scale};
}

std::vector<Benchmark> score_questions(const std::string& stem, const std::vector<Question>& questions,
                                       const std::vector<AnsweredQuestion>& answered, double level) {
  LMBITS_CHECK(questions.size() == answered.size());
  std::vector<Benchmark> benchmarks;
  std::vector<std::pair<std::string, Values>> kinds;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const Question& question = questions[i];
    const auto same = [&](const auto& kind) { return kind.first == question.kind; };
    auto kind = static_cast<std::size_t>(std::find_if(kinds.begin(), kinds.end(), same) - kinds.begin());
    if (kind == kinds.size()) {
      kinds.emplace_back(question.kind, Values{});
      benchmarks.push_back({question.kind.empty() ? stem : stem + "-" + question.kind, {}, 0, 0, {}});
    }
    Benchmark& benchmark = benchmarks[kind];
    Values& values = kinds[kind].second;
    if (question.error.empty() && !values.area) values.area = benchmark.area = question.area;
    if (question.error.empty() && values.area != question.area) benchmark.area.clear();
    if (!answered[i].error.empty()) {
      ++benchmark.n_failed;
      continue;
    }
    ++benchmark.n;
    values.add(question, answered[i].continuations);
  }
  for (std::size_t k = 0; k < kinds.size(); ++k) benchmarks[k].metrics = kinds[k].second.metrics(level);
  return benchmarks;
}

std::vector<Score> scores_of(const std::vector<Benchmark>& benchmarks, const std::string& model,
                             const std::string& source) {
  std::vector<Score> scores;
  for (const Benchmark& benchmark : benchmarks)
    for (const ChoiceMetric& metric : benchmark.metrics)
      scores.push_back({model, benchmark.name, benchmark.area, metric.name, metric.value, benchmark.n,
                        metric.standard_error, source, lower_is_better_by_name(metric.name)});
  return scores;
}

Json lm_eval_results(const std::vector<Benchmark>& benchmarks, const std::string& model, std::int64_t n_shots,
                     double level) {
  Json results = Json::object(), configs = Json::object(), shots = Json::object(), better = Json::object(),
       samples = Json::object(), intervals = Json::object(), subtasks = Json::object();
  for (const Benchmark& benchmark : benchmarks) {
    if (benchmark.metrics.empty()) continue;
    Json& result = results[benchmark.name] = {{"alias", benchmark.name}};
    for (const ChoiceMetric& metric : benchmark.metrics) {
      result[metric.name + ",none"] = metric.value;
      result[metric.name + "_stderr,none"] = metric.standard_error ? Json(*metric.standard_error) : Json("N/A");
      better[benchmark.name][metric.name] = !lower_is_better_by_name(metric.name);
      if (metric.lo) intervals[benchmark.name][metric.name] = {*metric.lo, *metric.hi};
    }
    configs[benchmark.name] = {{"task", benchmark.name}, {"num_fewshot", n_shots}, {"metadata", Json::object()}};
    if (!benchmark.area.empty()) configs[benchmark.name]["metadata"]["area"] = benchmark.area;
    shots[benchmark.name] = n_shots;
    samples[benchmark.name] = {{"original", benchmark.n + benchmark.n_failed}, {"effective", benchmark.n}};
    subtasks[benchmark.name] = Json::array();
  }
  return {{"results", results},
          {"group_subtasks", subtasks},
          {"configs", configs},
          {"n-shot", shots},
          {"higher_is_better", better},
          {"n-samples", samples},
          {"config", {{"model", "lmbits"}, {"model_args", "pretrained=" + model}}},
          {"model_name", model},
          {"intervals", {{"level", level}, {"of", intervals}}}};
}

}  // namespace lmbits
