// A selection's state on disk.
#pragma once
#include <filesystem>
#include <optional>

#include "src/core/json_fwd.h"
#include "src/selection/select.h"

namespace lmbits {

// Written as a whole: a kill leaves this one or the one before.
void write_checkpoint(const std::filesystem::path& path, const Json& identity, const SelectState& state);

// nullopt where there is none, or a damaged one. Throws Error(kConfig) naming what changed where `identity` is not the
// one it was written with.
std::optional<SelectState> read_checkpoint(const std::filesystem::path& path, const Json& identity);

// Throws Error(kConfig) naming the first key whose value changed, with both.
void check_identity(const Json& was, const Json& is, const std::filesystem::path& path);

}  // namespace lmbits
