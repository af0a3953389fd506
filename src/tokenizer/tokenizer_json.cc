// Hugging Face's tokenizer.json. What the file says of truncation and padding is left aside: texts are encoded whole.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/json_depth.h"
#include "src/tokenizer/bpe_model.h"
#include "src/tokenizer/fingerprint.h"
#include "src/tokenizer/make_tokenizer.h"
#include "src/tokenizer/pipeline_tokenizer.h"
#include "src/tokenizer/word_models.h"

namespace lmbits {
namespace {

using Tree =
    nlohmann::json;  // not Json, which looks for each new key among all before it: a vocabulary would take seconds

constexpr std::string_view kMeta = "\xE2\x96\x81";
constexpr std::uint64_t kMaxId = 1 << 24;  // a larger one is damage, not a vocabulary
constexpr int kMostLevels = 100;

[[noreturn]] void refuse(const std::string& what, const std::string& needed) {
  throw Error(ErrorKind::kUnsupported, "this tokenizer.json " + what, needed);
}

[[noreturn]] void damaged(const std::string& what) {
  throw Error(ErrorKind::kModel, "this tokenizer.json is damaged: " + what, "fetch or export the file again");
}

std::uint32_t checked_id(const Tree& json) {
  if (!json.is_number_integer() || json.get<std::int64_t>() < 0 || json.get<std::uint64_t>() > kMaxId) {
    damaged("an id is " + json.dump());
  }
  return json.get<std::uint32_t>();
}

// A value that is there and not null.
const Tree* find(const Tree& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

std::vector<AddedToken> read_added_tokens(const Tree& json) {
  std::vector<AddedToken> tokens;
  for (const Tree& item : json.value("added_tokens", Tree::array())) {
    tokens.push_back({checked_id(item.at("id")), item.at("content").get<std::string>(), item.value("special", false),
                      item.value("normalized", false), item.value("single_word", false), item.value("lstrip", false),
                      item.value("rstrip", false)});
  }
  return tokens;
}

using Vocabulary = std::unordered_map<std::string, std::uint32_t>;

Vocabulary read_vocabulary(const Tree& model) {
  Vocabulary ids;
  for (const auto& [piece, id] : model.at("vocab").items()) ids[piece] = checked_id(id);
  return ids;
}

std::optional<std::uint32_t> unknown_id(const Tree& model, const Vocabulary& ids) {
  const Tree* unk = find(model, "unk_token");
  if (!unk) return std::nullopt;
  const auto found = ids.find(unk->get<std::string>());
  if (found == ids.end()) return std::nullopt;
  return found->second;
}

std::pair<std::string, std::string> read_merge(const Tree& merge) {
  if (merge.is_array() && merge.size() == 2) return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  const auto text = merge.get<std::string>();
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) damaged("the merge \"" + text + "\" has no space");
  return {text.substr(0, space), text.substr(space + 1)};
}

std::vector<MergeRule> read_merges(const Tree& model, const Vocabulary& ids) {
  std::vector<MergeRule> rules;
  const auto id_of = [&](const std::string& piece) {
    const auto found = ids.find(piece);
    if (found == ids.end()) damaged("a merge needs the piece \"" + piece + "\", which the vocabulary has not");
    return found->second;
  };
  for (const Tree& merge : model.at("merges")) {
    const auto [left, right] = read_merge(merge);
    rules.push_back({id_of(left), id_of(right), id_of(left + right), static_cast<std::uint32_t>(rules.size())});
  }
  return rules;
}

std::unique_ptr<WordModel> read_bpe(const Tree& model, bool byte_level) {
  if (const Tree* dropout = find(model, "dropout"); dropout && *dropout != 0) {
    refuse("has a BPE dropout of " + dropout->dump(), "dropout makes ids random: set it to null");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const Tree* affix = find(model, key); affix && *affix != "") {
      refuse(std::string("has a ") + key, "BpeModel's symbols would have to carry it (src/tokenizer/bpe_model.cc)");
    }
  }
  const Vocabulary ids = read_vocabulary(model);
  BpeDefinition bpe;
  bpe.byte_level = byte_level;
  bpe.rules = read_merges(model, ids);
  bpe.unk_id = unknown_id(model, ids);
  bpe.needs_unk = find(model, "unk_token") != nullptr;
  bpe.fuse_unk = model.value("fuse_unk", false);
  bpe.whole_words_first = model.value("ignore_merges", false);
  const bool byte_fallback = model.value("byte_fallback", false);
  if (byte_fallback) bpe.unknown = Unknown::kBytesFirst;
  for (const auto& [piece, id] : ids) {
    if (bpe.pieces.size() <= id) bpe.pieces.resize(id + std::size_t{1});
    bpe.pieces[id] = byte_level ? from_byte_alphabet(piece).value_or("") : piece;
    if (const auto byte = byte_of_piece(piece); byte && byte_fallback)
      bpe.byte_ids[*byte] = static_cast<std::int32_t>(id);
  }
  for (std::size_t byte = 0; byte_level && byte_fallback && byte < 256; ++byte) {
    if (!ids.contains(to_byte_alphabet(std::string(1, static_cast<char>(byte)))))
      refuse("has byte_fallback beside ByteLevel and no piece for byte " + std::to_string(byte),
             "its character's bytes would have to fall back (src/tokenizer/bpe_model.cc)");
  }
  return std::make_unique<BpeModel>(std::move(bpe));
}

// A decimal number as the tokenizers library reads it (serde_json without float_roundtrip): its digits as an integer, rounded,
// then divided by a power of ten and rounded again, which may be a last bit off. `value`: what the shortest digits, with
// which the library writes, stand for.
double read_by_the_library(double value) {
  std::array<char, 32> text;
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), std::abs(value), std::chars_format::scientific);
  const std::string_view written(text.data(), static_cast<std::size_t>(end - text.data()));
  const std::size_t e = written.find('e');
  std::uint64_t digits = 0;
  int exponent = 0;
  for (const char c : written.substr(0, e)) {
    if (c == '.') continue;
    digits = digits * 10 + static_cast<std::uint64_t>(c - '0');
  }
  const std::string_view power = written.substr(e + (written[e + 1] == '+' ? 2 : 1));
  std::from_chars(power.data(), power.data() + power.size(), exponent);
  exponent -= static_cast<int>(e > 2 ? e - 2 : 0);
  constexpr int kExactPower = 22;
  if (error != std::errc() || e == std::string_view::npos || std::abs(exponent) > kExactPower) return value;
  const double factor = std::pow(10.0, std::abs(exponent)), whole = static_cast<double>(digits);
  return std::copysign(exponent < 0 ? whole / factor : whole * factor, value);
}

std::unique_ptr<WordModel> read_unigram(const Tree& model) {
  const bool byte_fallback = model.value("byte_fallback", false);
  UnigramScores scores;
  auto& vocabulary = scores.vocabulary;
  double worst = std::numeric_limits<double>::infinity();
  auto byte_ids = BpeDefinition::no_ids();
  for (const Tree& item : model.at("vocab")) {
    vocabulary.emplace_back(item.at(0).get<std::string>(), read_by_the_library(item.at(1).get<double>()));
    worst = std::min(worst, vocabulary.back().second);
    if (const auto byte = byte_of_piece(vocabulary.back().first); byte && byte_fallback)
      byte_ids[*byte] = static_cast<std::int32_t>(vocabulary.size() - 1);
  }
  std::optional<std::uint32_t> unk_id;
  if (const Tree* unk = find(model, "unk_id")) unk_id = checked_id(*unk);
  if (unk_id && *unk_id >= vocabulary.size())
    damaged("unk_id is " + std::to_string(*unk_id) + ", but the vocabulary has " + std::to_string(vocabulary.size()) +
            " pieces");
  scores.unknown = worst - kUnknownPenalty;
  return std::make_unique<UnigramModel>(scores, unk_id, byte_ids);
}

std::unique_ptr<WordModel> read_model(const Tree& model, bool byte_level) {
  const std::string type = model.value("type", "BPE");  // older files leave it out
  if (type == "BPE") return read_bpe(model, byte_level);
  if (type == "Unigram") return read_unigram(model);
  if (type == "WordLevel") {
    Vocabulary ids = read_vocabulary(model);
    const auto unk_id = unknown_id(model, ids);
    return std::make_unique<WordLevelModel>(std::move(ids), unk_id);
  }
  refuse("has the model \"" + type + "\"",
         "read: BPE, Unigram, WordLevel; " + type + " would be a WordModel in src/tokenizer/word_models.cc");
}

// BOS and EOS as the post-processor puts them around one text.
void read_post_processor(const Tree& json, Pipeline& pipeline) {
  const auto type = json.at("type").get<std::string>();
  if (type == "Sequence") {
    for (const Tree& part : json.at("processors")) read_post_processor(part, pipeline);
  } else if (type == "TemplateProcessing") {
    bool behind = false;
    std::array<int, 2> n_put{};
    for (const Tree& item : json.at("single")) {
      if (item.contains("Sequence")) behind = true;
      if (!item.contains("SpecialToken")) continue;
      const Tree& ids = json.at("special_tokens").at(item["SpecialToken"].at("id").get<std::string>()).at("ids");
      if (ids.size() != 1 || ++n_put[behind] > 1)
        refuse("puts several tokens on one side of a text", "read: one before it (BOS) and one behind it (EOS)");
      (behind ? pipeline.eos_id : pipeline.bos_id) = static_cast<std::int32_t>(checked_id(ids.at(0)));
    }
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    pipeline.bos_id = static_cast<std::int32_t>(checked_id(json.at("cls").at(1)));
    pipeline.eos_id = static_cast<std::int32_t>(checked_id(json.at("sep").at(1)));
  } else if (type != "ByteLevel") {
    refuse("has the post-processor \"" + type + "\"",
           "read: TemplateProcessing, RobertaProcessing, BertProcessing, ByteLevel, Sequence");
  }
}

// What decode() does beyond putting pieces together.
struct Decoding {
  bool meta_is_space = false, strips_first_space = false, byte_fallback = false;
};

void read_decoder(const Tree& json, Decoding& decoding) {
  const auto type = json.at("type").get<std::string>();
  if (type == "Sequence") {
    for (const Tree& part : json.at("decoders")) read_decoder(part, decoding);
  } else if (type == "Metaspace") {
    decoding.meta_is_space = true;
    decoding.strips_first_space =
        json.value("prepend_scheme", json.value("add_prefix_space", true) ? "always" : "never") != "never";
  } else if (type == "Replace" && json.at("pattern") == Tree{{"String", kMeta}} && json.at("content") == " ") {
    decoding.meta_is_space = true;
  } else if (type == "Strip" && json.at("content") == " " && json.value("start", 0) == 1 &&
             json.value("stop", 0) == 0) {
    decoding.strips_first_space = true;
  } else if (type == "ByteFallback") {
    decoding.byte_fallback = true;
  } else if (type != "Fuse" && type != "ByteLevel") {
    refuse("has the decoder \"" + type + "\"" + (type == "Replace" || type == "Strip" ? " with other settings" : ""),
           "read: ByteLevel, Metaspace, Replace of \"▁\" by \" \", Strip of one space at the start, ByteFallback, "
           "Fuse, Sequence");
  }
}

std::string surface(const std::string& piece, bool byte_level, const Decoding& decoding) {
  if (byte_level) return from_byte_alphabet(piece).value_or(piece);
  if (const auto byte = byte_of_piece(piece); byte && decoding.byte_fallback)
    return std::string(1, static_cast<char>(*byte));
  std::string text = piece;
  for (std::size_t at = 0; decoding.meta_is_space && (at = text.find(kMeta, at)) != std::string::npos; ++at)
    text.replace(at, kMeta.size(), " ");
  return text;
}

void read_surfaces(const Tree& json, Pipeline& pipeline) {
  Decoding decoding;
  if (const Tree* decoder = find(json, "decoder")) read_decoder(*decoder, decoding);
  pipeline.strips_first_space = decoding.strips_first_space;
  const auto put = [&](std::uint32_t id, std::string text) {
    if (pipeline.surfaces.size() <= id) pipeline.surfaces.resize(id + std::size_t{1});
    pipeline.surfaces[id] = std::move(text);
  };
  const Tree& vocabulary = json.at("model").at("vocab");
  std::uint32_t next = 0;
  for (const auto& [key, value] : vocabulary.items()) {
    const bool is_list = value.is_array();  // Unigram: [piece, score], the id is the place
    const std::string piece = is_list ? value.at(0).get<std::string>() : key;
    put(is_list ? next++ : checked_id(value), surface(piece, pipeline.pre_tokenization.byte_level, decoding));
  }
  for (const AddedToken& token : pipeline.added_tokens) put(token.id, token.content);
}

std::unique_ptr<Tokenizer> read(const Tree& json, const std::string& bytes) {
  Pipeline pipeline;
  pipeline.kind = "tokenizer.json";
  pipeline.fingerprint = tokenizer_fingerprint(pipeline.kind, bytes);
  pipeline.added_tokens = read_added_tokens(json);
  pipeline.normalizers = read_normalizers(Json(json.value("normalizer", Tree())));
  pipeline.pre_tokenization = read_pre_tokenizers(Json(json.value("pre_tokenizer", Tree())));
  pipeline.model = read_model(json.at("model"), pipeline.pre_tokenization.byte_level);
  if (const Tree* processor = find(json, "post_processor")) read_post_processor(*processor, pipeline);
  read_surfaces(json, pipeline);
  for (const auto id : {pipeline.bos_id, pipeline.eos_id}) {
    if (id && static_cast<std::size_t>(*id) >= pipeline.surfaces.size())
      damaged("its post-processor puts id " + std::to_string(*id) + ", but there are " +
              std::to_string(pipeline.surfaces.size()) + " ids");
  }
  pipeline.strips_first_space =
      pipeline.strips_first_space || (pipeline.pre_tokenization.byte_level && pipeline.pre_tokenization.adds_prefix);
  return make_pipeline_tokenizer(std::move(pipeline));
}

}  // namespace

std::unique_ptr<Tokenizer> read_tokenizer_json(const std::string& bytes) {
  try {
    if (nests_deeper(bytes, kMostLevels)) damaged("it nests deeper than " + std::to_string(kMostLevels) + " levels");
    return read(Tree::parse(bytes), bytes);
  } catch (const Tree::exception& e) {
    damaged(e.what());
  }
}

}  // namespace lmbits
