#include "src/store/training.h"

#include <cstdint>

#include "src/core/json.h"

namespace lmbits {
namespace {

// What stands at a path of keys; null where there is nothing.
Json value_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* at = &json;
  for (const char* key : path) {
    if (!at->is_object() || !at->contains(key)) return nullptr;
    at = &(*at)[key];
  }
  return *at;
}

}  // namespace

Training training_of(const Run& run) {
  const auto number = [&](std::initializer_list<const char*> path) {
    const Json value = value_at(run.manifest, path);
    return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
  };
  Training training;
  const Json name = value_at(run.manifest, {"model", "name"});
  training.run = name.is_string() ? name.get<std::string>() : run.path.filename().string();
  training.step = number({"model", "metadata", "training", "step"});
  training.tokens = number({"model", "metadata", "training", "tokens"});
  training.flops = number({"model", "metadata", "training", "flops"});
  training.parameters = number({"model", "metadata", "parameters", "total"});
  training.non_embedding = number({"model", "metadata", "parameters", "non_embedding"});
  if (training.step) training.run = training_run_name(training.run, static_cast<std::int64_t>(*training.step));
  return training;
}

std::string training_run_name(const std::string& model, std::int64_t step) {
  const std::string ending = "-" + std::to_string(step);
  const bool ends_in_it = model.ends_with(ending) && model.size() > ending.size();
  return ends_in_it ? model.substr(0, model.size() - ending.size()) : model;
}

}  // namespace lmbits
