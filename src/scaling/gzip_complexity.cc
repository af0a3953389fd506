#include "src/scaling/gzip_complexity.h"

#include <algorithm>
#include <numeric>

#include "src/coding/baselines.h"
#include "src/core/error.h"

namespace lmbits {

std::size_t gzip_size(std::string_view bytes) {
  static const BaselineCodec codec = select_codecs({"gzip-9"}).front();
  return static_cast<std::size_t>(compressed_size(codec, bytes));
}

std::string int32_big_endian(std::span<const std::int32_t> ids) {
  std::string bytes;
  bytes.reserve(4 * ids.size());
  for (const std::int32_t id : ids) {
    for (const int shift : {24, 16, 8, 0})
      bytes += static_cast<char>((static_cast<std::uint32_t>(id) >> shift) & 0xffu);
  }
  return bytes;
}

std::optional<double> GzipComplexity::median() const {
  if (values.empty()) return std::nullopt;
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : 0.5 * (sorted[half - 1] + sorted[half]);
}

std::optional<double> GzipComplexity::mean() const {
  if (values.empty()) return std::nullopt;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

ComplexityMeter ComplexityMeter::of_ids(std::size_t piece_ids, std::size_t max_pieces) {
  LMBITS_CHECK(piece_ids > 0);
  return {std::to_string(piece_ids) + " ids, int32 big-endian, gzip-9", piece_ids, max_pieces};
}

ComplexityMeter ComplexityMeter::of_text(std::size_t piece_bytes, std::size_t max_pieces) {
  LMBITS_CHECK(piece_bytes > 0);
  return {std::to_string(piece_bytes) + " bytes of text, gzip-9", piece_bytes, max_pieces};
}

void ComplexityMeter::add(std::span<const std::int32_t> document) {
  for (; document.size() >= piece_ && !full(); document = document.subspan(piece_))
    result_.values.push_back(static_cast<double>(gzip_size(int32_big_endian(document.first(piece_)))) /
                             (4.0 * static_cast<double>(piece_)));
  if (!full()) result_.n_left += std::ssize(document);
}

void ComplexityMeter::add(std::string_view document) {
  for (; document.size() >= piece_ && !full(); document.remove_prefix(piece_))
    result_.values.push_back(static_cast<double>(gzip_size(document.substr(0, piece_))) / static_cast<double>(piece_));
  if (!full()) result_.n_left += std::ssize(document);
}

}  // namespace lmbits
