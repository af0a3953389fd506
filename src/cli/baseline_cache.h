// Sizes that `lmbits baseline --cache DIR` computed before: DIR/FINGERPRINT.json for each corpus.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "src/core/json.h"

namespace lmbits::cli {

struct CodecSize {
  std::int64_t bytes;
  double cpu_seconds;
};

class BaselineCache {
 public:
  // `directory` may be empty: then nothing is known and nothing is kept. `corpus` is a fingerprint of its documents. A file
  // that is damaged is as none.
  BaselineCache(const std::string& directory, const std::string& corpus);

  // Of a row of the table, made by this version of its codec.
  std::optional<CodecSize> find(const std::string& row, const std::string& version) const;
  void put(const std::string& row, const std::string& version, const CodecSize& size);

  // Throws Error where the file cannot be written.
  void save() const;

 private:
  std::string path_;
  Json rows_ = Json::object();
  bool changed_ = false;
};

}  // namespace lmbits::cli
