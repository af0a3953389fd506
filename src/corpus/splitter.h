// Cuts a stream of bytes into documents whose concatenation is the stream.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/corpus/byte_source.h"

namespace lmbits {

struct Split {
  enum class Kind { kNone, kParagraphs, kLines, kBytes };
  Kind kind = Kind::kNone;
  std::size_t n_bytes = 0;  // kBytes: of a document
  bool of_text = true;      // kBytes: characters are not cut
};

// "none", "paragraphs", "lines" or a number of bytes >= 1; Error(kConfig) for anything else.
Split parse_split(const std::string& text);

// Every source gives at least one piece (an empty source an empty one), and no later piece is empty.
//   lines       a line with its "\n"; the last one may have none.
//   paragraphs  up to and with the blank lines that end it, where a blank line is "\n" or "\r\n" alone (one of spaces
//               is not); blank lines at the very start belong to the first paragraph.
//   n bytes     exactly n bytes, or, of text, up to 3 fewer where the cut would fall inside a valid UTF-8 character; a character
//               longer than n is a piece of its own.
// Holds one piece and up to kReadBytes beyond it. Time is linear in the stream.
class DocumentSplitter {
 public:
  // `size_hint`: bytes expected, so that a source taken whole needs one buffer; 0 where unknown.
  DocumentSplitter(std::unique_ptr<ByteSource> source, Split split, std::size_t size_hint = 0);

  std::optional<std::string> next();  // nullopt at the end; throws what the source throws

 private:
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  std::optional<std::size_t> find_cut();  // the next piece's length in rest(); nullopt: more bytes are needed
  std::optional<std::size_t> find_line_end();
  std::optional<std::size_t> find_paragraph_end();
  std::optional<std::size_t> find_character_boundary() const;
  std::string take(std::size_t length);
  void refill();

  std::unique_ptr<ByteSource> source_;
  Split split_;
  std::string buffer_;
  std::size_t begin_ = 0;  // what lies before it is handed out
  bool at_end_ = false;    // of the source
  bool yielded_ = false;

  // How far into rest() the search for the cut has come, so that a piece of any length is searched once.
  struct Search {
    std::size_t at = 0;
    std::size_t line = 0;      // paragraphs: where the current line begins,
    bool seen_text = false;    // whether a line before it was not blank,
    bool after_blank = false;  // and whether blank lines since then may end the paragraph here
  } search_;
};

}  // namespace lmbits
