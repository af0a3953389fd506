// Models of words other than BPE.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/tokenizer/word_model.h"

namespace lmbits {

// All pieces that a text begins with: a trie of their bytes, whose edges lie in one hash table.
class PieceTrie {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  PieceTrie() = default;
  explicit PieceTrie(std::size_t n_bytes_of_all) : edges_(std::bit_ceil(2 * n_bytes_of_all + 2)) {}
  void put(std::string_view piece, std::int32_t id);  // of equal pieces the last counts

  // The node behind `byte` from `node` on, the root being 0; kNone.
  std::uint32_t next(std::uint32_t node, char byte) const { return edges_[place_of(key_of(node, byte))].node; }
  std::int32_t id(std::uint32_t node) const { return ids_[node]; }  // -1: no piece ends here

 private:
  struct Edge {
    std::uint32_t key = kNone, node = kNone;
  };
  static std::uint32_t key_of(std::uint32_t node, char byte) { return node << 8 | static_cast<unsigned char>(byte); }
  std::size_t place_of(std::uint32_t key) const {
    const std::size_t mask = edges_.size() - 1;
    for (std::size_t i = (key * 0x9E3779B97F4A7C15u >> 32) & mask;; i = (i + 1) & mask) {
      if (edges_[i].key == key || edges_[i].key == kNone) return i;
    }
  }
  std::vector<Edge> edges_ = {Edge()};
  std::vector<std::int32_t> ids_ = {-1};
};

// A unigram model's numbers. Of ways whose sums differ by a rounding only (the same pieces in another order) the sums decide,
// so they are rounded as the library that a file belongs to does: tokenizers keeps doubles, SentencePiece floats.
struct UnigramScores {
  std::vector<std::pair<std::string, double>> vocabulary;  // by id; an empty text is of no piece
  double unknown = 0;                                      // of a character that no piece covers
  bool single_precision = false;                           // a sum is a float
};
inline constexpr double kUnknownPenalty = 10.0;  // below the worst piece

// The pieces whose scores add up to the most (Kudo 2018, arXiv 1804.10959). Of equal sums the first found counts, from left to
// right and from short pieces to long ones. Runs of characters that no piece covers are one token.
class UnigramModel final : public WordModel {
 public:
  // `byte_ids`: of byte-fallback pieces, which stand for runs that no piece covers.
  UnigramModel(const UnigramScores& scores, std::optional<std::uint32_t> unk_id,
               const std::array<std::int32_t, 256>& byte_ids);

 protected:
  void encode_afresh(std::string_view word, const char* readable_end, Workspace& workspace,
                     Pieces& pieces) const override;

 private:
  bool is_unknown(std::int32_t id) const { return id < 0 || (unk_id_ && static_cast<std::uint32_t>(id) == *unk_id_); }
  void put_unknown(std::string_view run, bool is_piece, Pieces& pieces) const;
  PieceTrie trie_;
  std::vector<double> scores_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::optional<std::uint32_t> unk_id_;
  double unknown_score_ = 0;
  bool single_precision_ = false;
};

// A word is one id.
class WordLevelModel final : public WordModel {
 public:
  WordLevelModel(std::unordered_map<std::string, std::uint32_t> ids, std::optional<std::uint32_t> unk_id)
      : ids_(std::move(ids)), unk_id_(unk_id) {}

 protected:
  void encode_afresh(std::string_view word, const char* readable_end, Workspace& workspace,
                     Pieces& pieces) const override;

 private:
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::optional<std::uint32_t> unk_id_;
};

// "<0x41>": the byte that a byte-fallback piece stands for.
std::optional<unsigned char> byte_of_piece(std::string_view piece);

}  // namespace lmbits
