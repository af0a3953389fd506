// A block of any bytes as ids that a tokenizer gives back byte for byte, and the bytes that it cannot carry.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/tokenizer.h"

namespace lmbits {

// The block is, piece by piece: what the tokenizer decodes the piece's ids to, then the piece's escaped bytes.
struct BlockText {
  struct Piece {
    std::int64_t n_ids;
    std::int64_t n_escaped;
    bool operator==(const Piece&) const = default;
  };
  std::vector<std::int32_t> ids;  // of all pieces
  std::string escaped;            // of all pieces
  std::vector<Piece> pieces;      // none where the block is empty
};

// Where decode(encode(text)) is not the text, the text is halved until the parts that are not given back have at most 16
// bytes; those are escaped. Most texts have one piece and no escaped byte. Ids are in [0, vocab_size).
BlockText read_block(const Tokenizer& tokenizer, std::string_view text, std::int64_t vocab_size);

// The block again. Throws Error(kData) where the tokenizer refuses an id.
std::string write_block(const Tokenizer& tokenizer, const BlockText& block);

}  // namespace lmbits
