// tiktoken's ranks: lines of base64(piece), a space, its rank, which is its id. Two neighbours merge whenever their
// joined bytes are a piece, the lowest rank first; a word that is a piece needs no merging. Special tokens are no part
// of the file: their text is text.
#include <charconv>
#include <unordered_set>

#include "src/core/error.h"
#include "src/tokenizer/bpe_model.h"
#include "src/tokenizer/fingerprint.h"
#include "src/tokenizer/make_tokenizer.h"
#include "src/tokenizer/pipeline_tokenizer.h"

namespace lmbits {
namespace {

constexpr std::uint32_t kMaxId = 1 << 24;

[[noreturn]] void damaged(std::size_t line, const std::string& what) {
  throw Error(ErrorKind::kModel, "line " + std::to_string(line) + " of the tiktoken ranks " + what,
              "each line is the base64 of a piece, a space and its rank");
}

std::string from_base64(std::string_view text, std::size_t line) {
  std::string bytes;
  std::uint32_t bits = 0;
  int n_bits = 0;
  while (text.ends_with('=')) text.remove_suffix(1);
  for (const char c : text) {
    const int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (digit < 0) damaged(line, "is not base64");
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    n_bits += 6;
    if (n_bits >= 8) bytes += static_cast<char>(bits >> (n_bits -= 8) & 255);
  }
  return bytes;
}

std::vector<std::string> read_ranks(std::string_view rest) {
  std::vector<std::string> pieces;
  std::unordered_set<std::string> known;
  for (std::size_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty()) continue;
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos) damaged(line, "has no space");
    std::uint32_t rank = 0;
    const std::string_view number = text.substr(space + 1);
    const auto [last, error] = std::from_chars(number.data(), number.data() + number.size(), rank);
    if (error != std::errc() || last != number.data() + number.size() || rank > kMaxId) damaged(line, "has no rank");
    if (pieces.size() <= rank) pieces.resize(rank + std::size_t{1});
    if (!pieces[rank].empty()) damaged(line, "has the rank of an earlier one, " + std::to_string(rank));
    pieces[rank] = from_base64(text.substr(0, space), line);
    if (pieces[rank].empty()) damaged(line, "has an empty piece");
    if (!known.insert(pieces[rank]).second) damaged(line, "has the piece of an earlier one");
  }
  return pieces;
}

}  // namespace

std::unique_ptr<Tokenizer> read_tiktoken(const std::string& bytes, const std::string& pattern) {
  BpeDefinition bpe;
  bpe.pieces = read_ranks(bytes);
  std::vector<std::int64_t> rank_of(bpe.pieces.size());
  std::array<bool, 256> has_byte{};
  for (std::size_t id = 0; id < rank_of.size(); ++id) {
    rank_of[id] = bpe.pieces[id].empty() ? -1 : static_cast<std::int64_t>(id);
    if (bpe.pieces[id].size() == 1) has_byte[static_cast<unsigned char>(bpe.pieces[id][0])] = true;
  }
  for (std::size_t byte = 0; byte < has_byte.size(); ++byte) {
    if (!has_byte[byte])
      throw Error(ErrorKind::kModel, "the tiktoken ranks have no piece for byte " + std::to_string(byte),
                  "is the file whole?");
  }
  bpe.rules = rules_from_ranks(bpe.pieces, rank_of, true);
  bpe.whole_words_first = true;
  Pipeline pipeline;
  pipeline.kind = "tiktoken";
  pipeline.fingerprint = tokenizer_fingerprint(pipeline.kind, pattern + std::string(1, '\0') + bytes);
  pipeline.surfaces = bpe.pieces;
  pipeline.pre_tokenization.byte_level = true;
  pipeline.pre_tokenization.splitter = make_named_splitter(pattern);
  if (!pipeline.pre_tokenization.splitter)
    pipeline.pre_tokenization.splitter = make_pattern_splitter(pattern, RegexDialect::kRust);
  pipeline.model = std::make_unique<BpeModel>(std::move(bpe));
  return make_pipeline_tokenizer(std::move(pipeline));
}

}  // namespace lmbits
