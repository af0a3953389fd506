// Opens lmbits_eval, the one library that needs libtorch, when a command needs a model.
#pragma once
#include "src/scoring/api.h"

namespace lmbits::cli {

// Throws Error(kUnsupported) where the library or libtorch is missing, saying how to get it.
const EvalApi& eval_library();

// What --dtype may be, wherever a model is opened.
inline constexpr const char* kDtypeHelp =
    "of weights and arithmetic: auto, float32, bfloat16, float16; bfloat16-body and int8-body round the weights "
    "between embedding and head, which changed a document of the demo models by 1.3e-4 and 7e-4 of its bits at worst "
    "(bench/README.md)";

}  // namespace lmbits::cli
