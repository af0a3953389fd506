// What a run's manifest says of how its model was trained.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "src/store/run_directory.h"

namespace lmbits {

struct Training {
  std::string run;  // checkpoints of one training run: the model's name without the step that it ends in ("m-sp-3000":
                    // "m-sp"); a name that does not end in its step is a run by itself; without a name, the folder's
  std::optional<double> step, tokens, flops;
  std::optional<double> parameters, non_embedding;
};

Training training_of(const Run& run);

// The rule above: "m-sp-3000" and 3000 give "m-sp".
std::string training_run_name(const std::string& model, std::int64_t step);

}  // namespace lmbits
