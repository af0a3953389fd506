#include "src/corpus/splitter.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "src/core/error.h"
#include "src/corpus/utf8.h"

namespace lmbits {

Split parse_split(const std::string& text) {
  if (text == "none") return {Split::Kind::kNone, 0};
  if (text == "paragraphs") return {Split::Kind::kParagraphs, 0};
  if (text == "lines") return {Split::Kind::kLines, 0};
  std::size_t n_bytes = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, status] = std::from_chars(text.data(), end, n_bytes);
  constexpr std::size_t kMax = std::size_t{1} << 40;
  if (status != std::errc() || parsed != end || n_bytes == 0 || n_bytes > kMax) {
    throw Error(ErrorKind::kConfig, "split is \"" + text + "\"",
                "none, paragraphs, lines, or a number of bytes from 1 to " + std::to_string(kMax));
  }
  return {Split::Kind::kBytes, n_bytes};
}

DocumentSplitter::DocumentSplitter(std::unique_ptr<ByteSource> source, Split split, std::size_t size_hint)
    : source_(std::move(source)), split_(split) {
  // One piece of reading more than the source: its end is only seen by reading past it.
  if (split.kind == Split::Kind::kNone && size_hint > 0) buffer_.reserve(size_hint + kReadBytes);
}

std::optional<std::string> DocumentSplitter::next() {
  while (true) {
    if (const auto length = find_cut()) return take(*length);
    if (at_end_) break;
    refill();
  }
  if (rest().empty() && yielded_) return std::nullopt;
  return take(rest().size());
}

std::string DocumentSplitter::take(std::size_t length) {
  yielded_ = true;
  search_ = {};
  if (begin_ == 0 && length == buffer_.size()) return std::exchange(buffer_, {});
  std::string piece(rest().substr(0, length));
  begin_ += length;
  return piece;
}

void DocumentSplitter::refill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  at_end_ = !append_some(*source_, buffer_);
}

std::optional<std::size_t> DocumentSplitter::find_cut() {
  switch (split_.kind) {
    case Split::Kind::kNone:
      return std::nullopt;
    case Split::Kind::kLines:
      return find_line_end();
    case Split::Kind::kParagraphs:
      return find_paragraph_end();
    case Split::Kind::kBytes:
      return find_character_boundary();
  }
  return std::nullopt;
}

std::optional<std::size_t> DocumentSplitter::find_line_end() {
  const std::size_t newline = rest().find('\n', search_.at);
  if (newline != std::string_view::npos) return newline + 1;
  search_.at = rest().size();
  return std::nullopt;
}

std::optional<std::size_t> DocumentSplitter::find_paragraph_end() {
  while (true) {
    const std::string_view line = rest().substr(search_.line);
    // With nothing of the line read, or a "\r" that may be the first half of a blank line, it is too early to tell.
    if ((line.empty() || line == "\r") && !at_end_) return std::nullopt;
    const bool blank = line.starts_with("\n") || line.starts_with("\r\n");
    if (search_.after_blank && !blank && !line.empty()) return search_.line;
    const std::size_t newline = rest().find('\n', search_.at);
    if (newline == std::string_view::npos) {
      search_.at = rest().size();
      return std::nullopt;
    }
    search_.after_blank = blank && search_.seen_text;
    search_.seen_text = search_.seen_text || !blank;
    search_.line = search_.at = newline + 1;
  }
}

std::optional<std::size_t> DocumentSplitter::find_character_boundary() const {
  constexpr std::size_t kLongestTail = 3;  // bytes of a character after its first
  const std::size_t n = split_.n_bytes;
  if (rest().size() <= n || (rest().size() < n + kLongestTail && !at_end_)) return std::nullopt;
  if (!split_.of_text) return n;
  for (std::size_t back = 1; back <= std::min(kLongestTail, n); ++back) {
    const std::size_t length = utf8_character_length(rest().substr(n - back));
    if (length == 0) continue;     // the middle of a character, or no UTF-8
    if (length <= back) return n;  // it ends before the cut
    return back < n ? n - back : length;
  }
  return n;
}

}  // namespace lmbits
