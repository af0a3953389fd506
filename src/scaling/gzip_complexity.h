// The gzip complexity H of data: compressed over original size of its pieces, Pandey 2024 (arXiv:2405.16684).
//
// A number H means something only with its unit, since short pieces compress badly and 4-byte ids well: a piece of 256
// ids as int32 big-endian, or so many bytes of text. Level 9; the gzip header (10 bytes) and trailer (8) are counted. The
// published figure is the median over 1,000 documents (the paper's equation says mean).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

// Bytes of the gzip file that level 9 makes of `bytes`, by the zlib that is linked.
std::size_t gzip_size(std::string_view bytes);
std::string int32_big_endian(std::span<const std::int32_t> ids);

struct GzipComplexity {
  std::string unit;            // "256 ids, int32 big-endian, gzip-9", "1024 bytes of text, gzip-9"
  std::vector<double> values;  // one a piece
  std::int64_t n_left = 0;  // ids or bytes behind the last whole piece, or of documents shorter than one: in no number
  std::optional<double> median() const;
  std::optional<double> mean() const;
};

// Adds pieces as they come, so that a corpus need not fit in memory.
class ComplexityMeter {
 public:
  // Pieces of `piece_ids` ids, or of `piece_bytes` bytes; at most `max_pieces` are measured (0: all).
  static ComplexityMeter of_ids(std::size_t piece_ids, std::size_t max_pieces);
  static ComplexityMeter of_text(std::size_t piece_bytes, std::size_t max_pieces);

  void add(std::span<const std::int32_t> document);  // cut into pieces; what is left over is left out
  void add(std::string_view document);
  bool full() const { return max_pieces_ > 0 && result_.values.size() >= max_pieces_; }
  const GzipComplexity& result() const { return result_; }

 private:
  ComplexityMeter(std::string unit, std::size_t piece, std::size_t max_pieces)
      : piece_(piece), max_pieces_(max_pieces) {
    result_.unit = std::move(unit);
  }
  std::size_t piece_, max_pieces_;
  GzipComplexity result_;
};

}  // namespace lmbits
