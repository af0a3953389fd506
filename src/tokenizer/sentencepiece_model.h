// What a SentencePiece model file says about itself and the library does not tell.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

// The fields of ModelProto that decide how text may be cut and put together again, with the format's defaults.
// Source: sentencepiece_model.proto of SentencePiece 0.1.97.
struct SentencePieceSettings {
  bool is_bpe = false, is_unigram = true;
  bool byte_fallback = false;
  bool maps_characters = false;  // a normalisation table (NFKC, lower case, ...), before or after
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool whitespace_as_suffix = false;
  bool escape_whitespaces = true;  // " " becomes "▁"
  std::string character_map;       // the table of normalisation before, empty for none
};

// Throws Error(kModel) where the bytes are no protocol buffer message.
SentencePieceSettings read_sentencepiece_settings(std::string_view model);

// The type of each piece: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
std::vector<std::uint8_t> read_sentencepiece_types(std::string_view model);

// The same model for text that goes on where other text ended: it puts no "▁" in front.
std::string without_dummy_prefix(std::string_view model);

}  // namespace lmbits
