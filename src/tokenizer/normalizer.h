// The normalisers of a tokenizer.json, applied in their order.
//
// NFC and its kin come from utf8proc, but leave alone what Unicode 9.0 does not know, as the tokenizers library does.
// Invalid bytes pass unchanged.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/tokenizer/aligned_text.h"

namespace lmbits {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual AlignedText apply(AlignedText text) const = 0;
  // May apply() change this text? Cheap; false only where it surely does not.
  virtual bool may_change(std::string_view text) const = 0;
};

// utf8proc's version and its Unicode's.
std::string normalization_library();

// `json`: the file's "normalizer", null included. Throws Error(kUnsupported) by name for one that is not read.
std::vector<std::unique_ptr<Normalizer>> read_normalizers(const Json& json);

}  // namespace lmbits
