// Where in a text the bits go: a document's characters on a background that says what they cost, for one model, or for
// two side by side and their difference.
#pragma once
#include <string>
#include <vector>

#include "src/report/svg.h"

namespace lmbits {

struct TokenBits {
  std::string bytes;  // of the source
  double bits = 0.0;
};

struct ScoredText {
  std::string model;
  std::vector<TokenBits> tokens;
};

// A stretch of the text between two places where every side has a token's boundary between code points.
struct TextPiece {
  std::string text;
  std::vector<double> bits;  // of each side
};

// The finest pieces that all sides can be compared on. Throws Error(kData) where the sides' bytes differ: they are not
// of one text, or a tokenizer is lossy.
std::vector<TextPiece> common_pieces(const std::vector<ScoredText>& sides);

// One panel a side, coloured by each token's bits a byte; with two sides a third, coloured by the bits a byte that the
// second side needs more (warm) or less (cool) for each common piece. Colours are steps of a scale that all panels of a
// kind share, its end being the 98th percentile of the bytes. At most `max_bytes` of the text are drawn, whole lines; the heads
// give the totals of all of it. Throws Error(kData) as common_pieces does, and where there is no text.
Drawing draw_token_map(const std::vector<ScoredText>& sides, std::size_t max_bytes);

// The text with ANSI backgrounds, a step for each two bits of a piece (common_pieces of the one side: tokens that share a
// character are one, of their sum), and the scale below. Nothing of the text acts on the terminal: line breaks and tabs
// are signs, a line break also breaks the line, and the rest is `printable`. Empty where the text is.
std::string heat_text(const ScoredText& side);

}  // namespace lmbits
