// Models of words other than BPE.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/tokenizer/piece_index.h"
#include "src/tokenizer/word_model.h"

namespace lmbits {

// The pieces whose scores add up to the most (Kudo 2018, arXiv 1804.10959), in doubles and with the ties of the
// tokenizers library. A character that no piece covers costs 10 more than the worst piece; runs of them are one token.
class UnigramModel final : public WordModel {
 public:
  UnigramModel(const std::vector<std::pair<std::string, double>>& vocabulary, std::optional<std::uint32_t> unk_id,
               bool byte_fallback);

 protected:
  void encode_afresh(std::string_view word, const char* readable_end, Workspace& workspace,
                     Pieces& pieces) const override;

 private:
  void put_unknown(std::string_view run, Pieces& pieces) const;
  std::vector<std::string> pieces_;
  std::vector<double> scores_;
  PieceIndex index_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::optional<std::uint32_t> unk_id_;
  std::size_t max_piece_bytes_ = 0;
  double unknown_score_ = 0;
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
