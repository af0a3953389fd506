// What a run learns of itself after its manifest was written.
#pragma once
#include <filesystem>
#include <string>

#include "src/core/json_fwd.h"

namespace lmbits {

// Sets a key of the manifest of `run`, whose folder the caller holds (RunWriter); replaced as a whole. Not "identity" and not
// "schema", which stay as they are. Throws Error(kData) where it cannot be read or written.
void amend_manifest(const std::filesystem::path& run, const std::string& key, const Json& value);

}  // namespace lmbits
