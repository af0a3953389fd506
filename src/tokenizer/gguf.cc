// The vocabulary inside a GGUF file (format: github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3).
//
// Kind "gpt2": byte-level BPE with pieces in ByteLevel's alphabet, merges, and the name of a pre-tokenizer. Kind
// "llama": SentencePiece's pieces, scores and types, handed on as the SentencePiece model they were made from.
#include <bit>
#include <cstring>
#include <map>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/tokenizer/bpe_model.h"
#include "src/tokenizer/fingerprint.h"
#include "src/tokenizer/make_tokenizer.h"
#include "src/tokenizer/pipeline_tokenizer.h"

namespace lmbits {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian");

[[noreturn]] void damaged(const std::string& what) {
  throw Error(ErrorKind::kModel, "the GGUF file is damaged: " + what, "fetch it again");
}

// What a tokenizer needs of the metadata; arrays of other element types are skipped.
struct Metadata {
  std::map<std::string, std::int64_t> integers;
  std::map<std::string, std::string> strings;
  std::map<std::string, std::vector<std::string>> string_lists;
  std::map<std::string, std::vector<double>> number_lists;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  Metadata read() {
    if (take(4) != "GGUF") damaged("it does not begin with GGUF");
    const auto version = number<std::uint32_t>();
    if (version != 2 && version != 3)
      throw Error(ErrorKind::kUnsupported, "GGUF version " + std::to_string(version) + " is not read", "read: 2 and 3");
    number<std::uint64_t>();  // tensors
    Metadata metadata;
    for (auto n = number<std::uint64_t>(); n > 0; --n) {
      const std::string key(string());
      read_value(key, number<std::uint32_t>(), metadata);
    }
    return metadata;
  }
  std::size_t n_unread() const { return rest_.size(); }

 private:
  enum Type : std::uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

  std::string_view take(std::uint64_t n) {
    if (n > rest_.size()) damaged("it ends early");
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view string() { return take(number<std::uint64_t>()); }

  double numeric(std::uint32_t type) {
    switch (type) {
      case kU8:
      case kBool:
        return number<std::uint8_t>();
      case kI8:
        return number<std::int8_t>();
      case kU16:
        return number<std::uint16_t>();
      case kI16:
        return number<std::int16_t>();
      case kU32:
        return number<std::uint32_t>();
      case kI32:
        return number<std::int32_t>();
      case kF32:
        return static_cast<double>(number<float>());
      case kU64:
        return static_cast<double>(number<std::uint64_t>());
      case kI64:
        return static_cast<double>(number<std::int64_t>());
      case kF64:
        return number<double>();
      default:
        damaged("a value has the type " + std::to_string(type));
    }
  }

  void read_value(const std::string& key, std::uint32_t type, Metadata& metadata) {
    if (type == kString) {
      metadata.strings[key] = string();
    } else if (type != kArray) {
      const double value = numeric(type);
      if (value > -1e15 && value < 1e15) metadata.integers[key] = static_cast<std::int64_t>(value);
    } else {
      const auto element = number<std::uint32_t>();
      const auto n = number<std::uint64_t>();
      if (element == kArray) damaged(key + " is an array of arrays");
      for (std::uint64_t i = 0; i < n; ++i) {
        if (element == kString) {
          metadata.string_lists[key].emplace_back(string());
        } else {
          metadata.number_lists[key].push_back(numeric(element));
        }
      }
    }
  }

  std::string_view rest_;
};

enum TokenType { kNormal = 1, kUnknownToken = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct GgufVocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<double> scores, types;
  std::string pre;
  std::optional<std::int32_t> bos_id, eos_id;
  bool add_space_prefix = true;
};

GgufVocabulary read_vocabulary(const Metadata& metadata) {
  GgufVocabulary v;
  const auto list = [](const auto& lists, const char* key) {
    const auto found = lists.find(key);
    return found == lists.end() ? typename std::decay_t<decltype(lists)>::mapped_type() : found->second;
  };
  v.tokens = list(metadata.string_lists, "tokenizer.ggml.tokens");
  v.merges = list(metadata.string_lists, "tokenizer.ggml.merges");
  v.scores = list(metadata.number_lists, "tokenizer.ggml.scores");
  v.types = list(metadata.number_lists, "tokenizer.ggml.token_type");
  v.pre = list(metadata.strings, "tokenizer.ggml.pre");
  if (v.tokens.empty()) damaged("it holds no tokens");
  if (!v.types.empty() && v.types.size() != v.tokens.size())
    damaged("it has " + std::to_string(v.tokens.size()) + " tokens, but " + std::to_string(v.types.size()) + " types");
  for (std::size_t id = 0; id < v.types.size(); ++id) {
    if (!(v.types[id] >= 0 && v.types[id] <= static_cast<double>(kByte)))
      damaged("token " + std::to_string(id) + " has the type " + std::to_string(v.types[id]));
  }
  const auto id = [&](const char* key) -> std::optional<std::int32_t> {
    const auto found = metadata.integers.find(key);
    if (found == metadata.integers.end() || found->second < 0 ||
        found->second >= static_cast<std::int64_t>(v.tokens.size()))
      return std::nullopt;
    return static_cast<std::int32_t>(found->second);
  };
  v.bos_id = id("tokenizer.ggml.bos_token_id");
  v.eos_id = id("tokenizer.ggml.eos_token_id");
  if (const auto found = metadata.integers.find("tokenizer.ggml.add_space_prefix"); found != metadata.integers.end())
    v.add_space_prefix = found->second != 0;
  return v;
}

// The tokenizer.json form of a named pre-tokenizer.
Json pre_tokenizer_of(const std::string& pre) {
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const Json gpt2 = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  const auto sequence = [](Json parts) { return Json{{"type", "Sequence"}, {"pretokenizers", std::move(parts)}}; };
  const auto split = [](const std::string& regex) {
    return Json{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
  };
  const auto digits = [](bool individual) { return Json{{"type", "Digits"}, {"individual_digits", individual}}; };
  const std::map<std::string, std::string> named = {
      {"llama3", "llama3"}, {"llama-bpe", "llama3"}, {"llama-v3", "llama3"}, {"smaug-bpe", "llama3"},
      {"dbrx", "llama3"},   {"qwen2", "qwen2"},      {"stablelm2", "qwen2"}, {"deepseek-r1-qwen", "qwen2"},
      {"gpt-4o", "o200k"}};
  if (const auto found = named.find(pre); found != named.end())
    return sequence(Json::array({split(splitter_pattern(found->second)), bytes}));
  for (const char* name : {"gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "default", ""}) {
    if (pre == name) return gpt2;
  }
  for (const char* name : {"starcoder", "refact", "command-r", "smollm", "codeshell"}) {
    if (pre == name) return sequence(Json::array({digits(true), gpt2}));
  }
  if (pre == "falcon") {
    return sequence(Json::array(
        {{{"type", "Punctuation"}, {"behavior", "Contiguous"}}, gpt2, digits(false), split("[0-9][0-9][0-9]")}));
  }
  if (pre == "deepseek-coder") {
    return sequence(Json::array({split("[\r\n]"), split(R"(\s?\p{L}+)"), split(R"(\s?\p{P}+)"),
                                 split("[一-龥ࠀ-一가-퟿]+"), digits(true), bytes}));
  }
  if (pre == "deepseek-v3") {
    return sequence(Json::array({split(R"(\p{N}{1,3})"), split("[一-龥぀-ゟ゠-ヿ]+"),
                                 split(R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
                                       "\r\n"
                                       R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
                                       "\r\n"
                                       R"(]*|\s*[)"
                                       "\r\n"
                                       R"(]+|\s+(?!\S)|\s+)"),
                                 bytes}));
  }
  throw Error(ErrorKind::kUnsupported, "the GGUF pre-tokenizer \"" + pre + "\" is not read",
              "it would be a line of pre_tokenizer_of in src/tokenizer/gguf.cc: the pre_tokenizer of the model's "
              "tokenizer.json");
}

std::unique_ptr<Tokenizer> make_gpt2(const GgufVocabulary& v, const std::string& fingerprint) {
  BpeDefinition bpe;
  std::unordered_map<std::string, std::uint32_t> ids;
  Pipeline pipeline;
  for (std::uint32_t id = 0; id < v.tokens.size(); ++id) {
    const auto type = v.types.empty() ? kNormal : static_cast<TokenType>(v.types[id]);
    ids.emplace(v.tokens[id], id);
    const bool is_text = type == kNormal || type == kUserDefined;
    bpe.pieces.push_back(is_text ? from_byte_alphabet(v.tokens[id]).value_or("") : "");
    pipeline.surfaces.push_back(is_text ? from_byte_alphabet(v.tokens[id]).value_or(v.tokens[id]) : v.tokens[id]);
    if (type == kUserDefined) pipeline.added_tokens.push_back({.id = id, .content = v.tokens[id]});
  }
  for (const std::string& merge : v.merges) {
    const std::size_t space = merge.find(' ', 1);
    const auto left = ids.find(merge.substr(0, space)),
               right = space == std::string::npos ? ids.end() : ids.find(merge.substr(space + 1));
    const auto result = left == ids.end() || right == ids.end() ? ids.end() : ids.find(left->first + right->first);
    if (result == ids.end()) damaged("the merge \"" + merge + "\" is not of its tokens");
    bpe.rules.push_back({left->second, right->second, result->second, static_cast<std::uint32_t>(bpe.rules.size())});
  }
  bpe.whole_words_first = v.pre.starts_with("llama");
  pipeline.kind = "gguf";
  pipeline.fingerprint = fingerprint;
  pipeline.bos_id = v.bos_id;
  pipeline.eos_id = v.eos_id;
  pipeline.pre_tokenization = read_pre_tokenizers(pre_tokenizer_of(v.pre));
  pipeline.model = std::make_unique<BpeModel>(std::move(bpe));
  return make_pipeline_tokenizer(std::move(pipeline));
}

// ---- "llama": a SentencePiece ModelProto ----

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 128; value >>= 7) out += static_cast<char>((value & 127) | 128);
  out += static_cast<char>(value);
}
void put_number(std::string& out, std::uint64_t field, std::uint64_t value) {
  put_varint(out, field << 3);
  put_varint(out, value);
}
void put_bytes(std::string& out, std::uint64_t field, std::string_view bytes) {
  put_varint(out, field << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string sentencepiece_model(const GgufVocabulary& v) {
  if (v.scores.size() != v.tokens.size() || v.types.size() != v.tokens.size())
    damaged("a llama vocabulary needs a score and a type for each token");
  std::string model;
  bool has_bytes = false;
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    const auto score = static_cast<float>(v.scores[id]);
    std::string piece;
    put_bytes(piece, 1, v.tokens[id]);
    put_varint(piece, 2 << 3 | 5);
    piece.append(reinterpret_cast<const char*>(&score), sizeof score);
    put_number(piece, 3, static_cast<std::uint64_t>(v.types[id]));
    put_bytes(model, 1, piece);
    has_bytes = has_bytes || static_cast<TokenType>(v.types[id]) == kByte;
  }
  std::string trainer, normalizer;
  put_number(trainer, 3, 2);  // BPE
  put_number(trainer, 35, has_bytes ? 1 : 0);
  const auto put_special = [&](std::uint64_t field, std::uint64_t name_field, std::optional<std::int32_t> id) {
    put_number(trainer, field, id ? static_cast<std::uint64_t>(*id) : ~std::uint64_t{0});
    if (id) put_bytes(trainer, name_field, v.tokens[static_cast<std::size_t>(*id)]);
  };
  put_special(41, 46, v.bos_id);
  put_special(42, 47, v.eos_id);
  put_bytes(normalizer, 1, "identity");
  put_number(normalizer, 3, v.add_space_prefix ? 1 : 0);
  put_number(normalizer, 4, 0);
  put_bytes(model, 2, trainer);
  put_bytes(model, 3, normalizer);
  return model;
}

}  // namespace

std::string_view gguf_metadata(std::string_view file) {
  Reader reader(file);
  reader.read();
  return file.substr(0, file.size() - reader.n_unread());
}

std::unique_ptr<Tokenizer> read_gguf_vocabulary(const std::string& bytes) {
  const Metadata metadata = Reader(bytes).read();
  const GgufVocabulary vocabulary = read_vocabulary(metadata);
  const auto found = metadata.strings.find("tokenizer.ggml.model");
  const std::string model = found == metadata.strings.end() ? "" : found->second;
  if (model == "gpt2") {
    Json definition = {{"pre", vocabulary.pre},
                       {"tokens", vocabulary.tokens},
                       {"merges", vocabulary.merges},
                       {"types", vocabulary.types},
                       {"bos", to_json_or_null(vocabulary.bos_id)},
                       {"eos", to_json_or_null(vocabulary.eos_id)}};
    return make_gpt2(vocabulary,
                     tokenizer_fingerprint("gguf", definition.dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  if (model == "llama") return make_sentencepiece_tokenizer(sentencepiece_model(vocabulary));
  throw Error(ErrorKind::kUnsupported, "the GGUF vocabulary is of kind \"" + model + "\"",
              "read: gpt2, llama; bert would need WordPiece, t5 a Unigram reader, rwkv its own");
}

}  // namespace lmbits
