#include "src/store/manifest.h"

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"

namespace lmbits {

void amend_manifest(const std::filesystem::path& run, const std::string& key, const Json& value) {
  LMBITS_CHECK(key != "identity" && key != "schema");
  const std::filesystem::path path = run / "manifest.json";
  Json manifest = Json::parse(read_file(path.string()), nullptr, false);
  if (!manifest.is_object())
    throw Error(ErrorKind::kData, path.string() + " is not JSON", "move the folder away and run again");
  if (manifest.value(key, Json()) == value) return;
  manifest[key] = value;
  write_file_atomically(path, manifest.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace lmbits
