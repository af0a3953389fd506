#include "src/model/bundle.h"

#include "src/core/error.h"

namespace lmbits {
namespace {

constexpr const char* kFormat = "lmbits-bundle-1";

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::kModel, where + ": " + what, "the fields of lmbits.json are listed in docs/formats.md");
}

// The value at `key`, or nullopt where it is absent or null.
template <typename T>
std::optional<T> get(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::nullopt;
  try {
    if constexpr (std::is_integral_v<T>) {
      if (!found->is_number_integer())
        refuse(where, std::string("`") + key + "` is " + found->dump() + ", not an integer");
    }
    return found->get<T>();
  } catch (const Json::exception&) {
    refuse(where, std::string("`") + key + "` has the wrong type: " + found->dump());
  }
}

template <typename T>
T require(const Json& json, const char* key, const std::string& where) {
  const std::optional<T> value = get<T>(json, key, where);
  if (!value) refuse(where, std::string("`") + key + "` is missing");
  return *value;
}

std::optional<std::int32_t> get_id(const Json& json, const char* key, const std::string& where, std::int64_t limit) {
  const auto id = get<std::int64_t>(json, key, where);
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= limit) {
    refuse(where,
           std::string("`") + key + "` is " + std::to_string(*id) + ", outside [0, " + std::to_string(limit) + ")");
  }
  return static_cast<std::int32_t>(*id);
}

}  // namespace

BundleMetadata parse_bundle_metadata(const Json& json, const std::string& where) {
  if (!json.is_object()) refuse(where, "the metadata is not a JSON object");
  const auto format = require<std::string>(json, "format", where);
  if (format != kFormat) refuse(where, "`format` is \"" + format + "\", this program reads \"" + kFormat + "\"");
  BundleMetadata m;
  m.json = json;
  m.name = get<std::string>(json, "name", where).value_or("");
  m.context_length = require<std::int64_t>(json, "context_length", where);
  m.vocab_size = require<std::int64_t>(json, "vocab_size", where);
  m.padded_vocab_size = get<std::int64_t>(json, "padded_vocab_size", where).value_or(m.vocab_size);
  if (m.context_length < 1 || m.context_length > INT32_MAX)
    refuse(where, "`context_length` is " + std::to_string(m.context_length));
  if (m.vocab_size < 2 || m.vocab_size > m.padded_vocab_size || m.padded_vocab_size > INT32_MAX) {
    refuse(where, "`vocab_size` is " + std::to_string(m.vocab_size) + " and `padded_vocab_size` " +
                      std::to_string(m.padded_vocab_size));
  }
  m.bos_id = get_id(json, "bos_id", where, m.padded_vocab_size);
  m.eos_id = get_id(json, "eos_id", where, m.padded_vocab_size);
  const auto tokenizer = require<Json>(json, "tokenizer", where);
  if (!tokenizer.is_object()) refuse(where, "`tokenizer` is not an object");
  m.tokenizer_kind = require<std::string>(tokenizer, "kind", where + ": tokenizer");
  m.tokenizer_file = get<std::string>(tokenizer, "file", where + ": tokenizer").value_or("");
  m.tokenizer_pattern = get<std::string>(tokenizer, "pattern", where + ": tokenizer").value_or("");
  m.logit_softcap = get<double>(json, "logit_softcap", where);
  m.logit_scale = get<double>(json, "logit_scale", where);
  if (m.logit_softcap && !(*m.logit_softcap > 0)) refuse(where, "`logit_softcap` is not positive");
  m.content_hash = get<std::string>(json, "content_hash", where);
  if (const auto weights = get<Json>(json, "weights", where); weights && weights->is_object()) {
    m.weights_file = require<std::string>(*weights, "file", where + ": weights");
    m.weights_hash = require<std::string>(*weights, "hash", where + ": weights");
  }
  if (const auto parameters = get<Json>(json, "parameters", where); parameters && parameters->is_object()) {
    m.n_parameters = get<std::int64_t>(*parameters, "total", where + ": parameters").value_or(0);
  }
  return m;
}

}  // namespace lmbits
