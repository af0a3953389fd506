// A bundle's bits of texts behind a context.
#pragma once
#include <memory>
#include <string>

#include "src/selection/conditional_bits.h"

namespace lmbits {

// "NAME=PATH" or "PATH" of a model. Throws Error(kModel) as open_model does.
std::unique_ptr<ConditionalBits> open_conditional_bits(const std::string& model, int n_threads);

}  // namespace lmbits
