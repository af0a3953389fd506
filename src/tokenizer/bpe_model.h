// Byte-pair encoding of a word, over bytes (GPT-2 and its kin) or over characters (SentencePiece and its kin).
#pragma once
#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "src/tokenizer/piece_index.h"
#include "src/tokenizer/word_model.h"

namespace lmbits {

// What becomes of a character that is no piece.
enum class Unknown {
  kBytesFirst,  // its bytes' pieces, which then may be merged (tokenizer.json with byte_fallback)
  kBytesLast,   // a symbol that merges as others do, and its bytes' pieces in the end (SentencePiece)
  kUnknownId,   // unk_id, or nothing where there is none
};

struct BpeDefinition {
  bool byte_level = true;           // symbols are bytes; else characters
  std::vector<std::string> pieces;  // by id: bytes (byte_level) or characters; empty: an id that text never becomes
  std::vector<MergeRule> rules;
  std::array<std::int32_t, 256> byte_ids = no_ids();  // of byte-fallback pieces
  Unknown unknown = Unknown::kUnknownId;
  std::optional<std::uint32_t> unk_id;
  bool needs_unk = false;  // without unk_id a character that is no piece is an error
  bool fuse_unk = false;
  bool whole_words_first = false;  // a word that is a piece is that piece, whatever the rules (ignore_merges, tiktoken)
  bool space_is_meta = false;      // " " of a word stands for "▁" of the pieces
  static constexpr std::array<std::int32_t, 256> no_ids() {
    std::array<std::int32_t, 256> ids{};
    ids.fill(-1);
    return ids;
  }
};

class BpeModel final : public WordModel {
 public:
  explicit BpeModel(BpeDefinition definition);

  // A long word is cut where no rule reaches across, so that its parts can be looked up.
  void encode_long(std::string_view word, const char* readable_end, Workspace& workspace,
                   Pieces& pieces) const override;

  // The short words that are pieces of a byte-level model: most of a text's are among them.
  void fill(WordCache& cache) const override;

  // With "▁" in front, which stands for no byte of the word and decodes to none.
  void encode_with_prefix(std::string_view word, const char* readable_end, Workspace& workspace, Pieces& pieces) const;

 protected:
  void encode_afresh(std::string_view word, const char* readable_end, Workspace& workspace,
                     Pieces& pieces) const override;

 private:
  void set_up_bytes();
  void find_byte_joins();
  void find_character_joins();
  void encode_characters(std::string_view part, bool prefix, Workspace& workspace, Pieces& pieces) const;
  void add_character_symbols(std::string_view part, Workspace& workspace) const;
  void add_byte_symbols(std::string_view part, Workspace& workspace) const;
  void add_unknown(std::string_view character, std::uint32_t code_point, Workspace& workspace) const;
  void put_symbol(std::uint32_t symbol, std::int32_t bytes, Pieces& pieces) const;
  std::uint32_t symbol_of(std::uint32_t code_point) const;
  std::size_t part_length(std::string_view rest) const;
  std::size_t byte_part_length(std::string_view rest) const;
  bool may_cut(std::uint32_t left, std::uint32_t right) const;

  BpeDefinition definition_;
  MergeTable table_;
  std::vector<std::uint32_t> character_ids_;  // by code point; kNoSymbol
  PieceIndex whole_words_;                    // words that need no merging
  bool has_all_bytes_ = false;                // each byte is a piece, or has a byte-fallback piece
  bool cuttable_ = false;
  std::unordered_set<std::uint64_t>
      joins_;                      // neighbouring characters within a piece that rules make: left << 32 | right
  std::bitset<65536> byte_joins_;  // the same of bytes: left << 8 | right
  std::array<bool, 128> cut_before_meta_{};  // behind this ASCII character
  std::uint32_t meta_ = ' ';                 // the character that parts begin with
};

// Rules from the pieces' own order, as SentencePiece and tiktoken merge: two neighbours become a piece whenever their
// joined text is one, the piece of the lowest rank first. `rank_of[id]` < 0: not made by merging.
std::vector<MergeRule> rules_from_ranks(const std::vector<std::string>& pieces,
                                        const std::vector<std::int64_t>& rank_of, bool byte_level);

}  // namespace lmbits
