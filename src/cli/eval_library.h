// Opens lmbits_eval, the one library that needs libtorch, when a command needs a model.
#pragma once
#include "src/scoring/api.h"

namespace lmbits::cli {

// Throws Error(kUnsupported) where the library or libtorch is missing, saying how to get it.
const EvalApi& eval_library();

}  // namespace lmbits::cli
