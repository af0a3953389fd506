// The flags that choose a scoring convention, the same for every command that scores.
#pragma once

#include "src/conventions/convention.h"

namespace lmbits::cli {

class Command;

void add_convention_flags(const Command& command, ConventionOptions& options);

}  // namespace lmbits::cli
