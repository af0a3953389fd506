#include "src/tokenizer/sentencepiece_model.h"

#include <cstdint>
#include <optional>

#include "src/core/error.h"

namespace lmbits {
namespace {

struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;   // of a varint
  std::string_view content;  // of a string or a message
  std::string_view whole;    // with its tag
};

[[noreturn]] void fail() {
  throw Error(ErrorKind::kModel, "the SentencePiece model is no protocol buffer message", "the file is damaged");
}

// A protocol buffer message, field by field (protobuf.dev/programming-guides/encoding).
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    const std::string_view begin = rest_;
    const std::uint64_t tag = varint();
    Field field;
    field.number = tag >> 3;
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        take(8);
        break;
      case 2:
        field.content = take(varint());
        break;
      case 5:
        take(4);
        break;
      default:
        fail();
    }
    field.whole = begin.substr(0, begin.size() - rest_.size());
    return field;
  }

 private:
  std::string_view take(std::uint64_t n) {
    if (n > rest_.size()) fail();
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    fail();
  }

  std::string_view rest_;
};

enum ModelField : std::uint64_t { kPiece = 1, kTrainer = 2, kNormalizer = 3, kSelfTest = 4, kDenormalizer = 5 };
constexpr std::uint64_t kModelTypeUnigram = 1, kModelTypeBpe = 2;
constexpr std::uint8_t kNormalPiece = 1;

void read_trainer(std::string_view spec, SentencePieceSettings& settings) {
  Message message(spec);
  while (const auto field = message.next()) {
    if (field->number == 3) {
      settings.is_bpe = field->value == kModelTypeBpe;
      settings.is_unigram = field->value == kModelTypeUnigram;
    }
    if (field->number == 24) settings.whitespace_as_suffix = field->value != 0;
    if (field->number == 35) settings.byte_fallback = field->value != 0;
  }
}

void read_normalizer(std::string_view spec, bool before, SentencePieceSettings& settings) {
  Message message(spec);
  while (const auto field = message.next()) {
    if (field->number == 2 && !field->content.empty()) settings.maps_characters = true;
    if (field->number == 2 && before) settings.character_map = field->content;
    if (field->number == 3 && before) settings.add_dummy_prefix = field->value != 0;
    if (field->number == 5 && before) settings.escape_whitespaces = field->value != 0;
    if (field->number == 4 && before) settings.remove_extra_whitespaces = field->value != 0;
  }
}

}  // namespace

SentencePieceSettings read_sentencepiece_settings(std::string_view model) {
  SentencePieceSettings settings;
  Message message(model);
  while (const auto field = message.next()) {
    if (field->number == kTrainer) read_trainer(field->content, settings);
    if (field->number == kNormalizer) read_normalizer(field->content, true, settings);
    if (field->number == kDenormalizer) read_normalizer(field->content, false, settings);
  }
  return settings;
}

std::vector<std::uint8_t> read_sentencepiece_types(std::string_view model) {
  std::vector<std::uint8_t> types;
  Message message(model);
  while (const auto field = message.next()) {
    if (field->number != kPiece) continue;
    types.push_back(kNormalPiece);
    Message piece(field->content);
    while (const auto part = piece.next()) {
      if (part->number == 3) types.back() = static_cast<std::uint8_t>(part->value);
    }
  }
  return types;
}

std::string without_dummy_prefix(std::string_view model) {
  std::string changed;
  Message message(model);
  while (const auto field = message.next()) {
    if (field->number != kSelfTest) changed += field->whole;  // its samples were made with the prefix
  }
  // A message that comes twice is merged, the later value winning: normalizer_spec { add_dummy_prefix: false }.
  return changed + std::string("\x1A\x02\x18\x00", 4);
}

}  // namespace lmbits
