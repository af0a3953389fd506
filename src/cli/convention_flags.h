// The flags that choose a scoring convention, the same for every command that scores.
#pragma once
#include <CLI/CLI.hpp>

#include "src/conventions/convention.h"

namespace lmbits::cli {

void add_convention_flags(CLI::App& command, ConventionOptions& options);

}  // namespace lmbits::cli
