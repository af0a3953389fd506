// The metadata of a model bundle, lmbits.json (fields: docs/formats.md), and of a bare archive's sidecar.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "src/core/json.h"

namespace lmbits {

struct BundleMetadata {
  std::string name;
  std::int64_t context_length = 0;
  std::int64_t vocab_size = 0;         // real vocabulary
  std::int64_t padded_vocab_size = 0;  // columns of the logits; those from vocab_size on are ignored
  std::optional<std::int32_t> bos_id, eos_id;
  std::string tokenizer_kind;                        // one of tokenizer_kinds()
  std::string tokenizer_file;                        // the extra file that holds it; empty where there is none
  std::string tokenizer_pattern;                     // how tiktoken's ranks split a text; empty for other kinds
  std::optional<double> logit_softcap, logit_scale;  // these apply to head_weight alone
  std::optional<std::string> content_hash;           // of the archive without lmbits.json: see archive.h
  std::string weights_file, weights_hash;            // of a package: beside it, and of all their bytes; else empty
  std::int64_t n_parameters = 0;
  Json json;  // all of it
};

// `where` names the file in errors. Throws Error(kModel) naming the field that is missing, of the wrong type or absurd.
BundleMetadata parse_bundle_metadata(const Json& json, const std::string& where);

}  // namespace lmbits
