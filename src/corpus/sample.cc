#include "src/corpus/sample.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <queue>

#include "src/core/error.h"
#include "src/core/hash_value.h"
#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

struct Drawn {
  std::uint64_t key;
  std::size_t place;  // in the corpus
  std::int64_t size;
  Document document;
};

// The last in order on top.
struct Later {
  bool operator()(const Drawn& a, const Drawn& b) const {
    return a.key != b.key ? a.key < b.key : a.document.id < b.document.id;
  }
};

std::int64_t size_of(const Document& document, SampleSize::Unit unit) {
  if (!document.error.empty()) return 0;
  switch (unit) {
    case SampleSize::Unit::kDocuments:
      return 1;
    case SampleSize::Unit::kBytes:
      return static_cast<std::int64_t>(document.bytes.size());
    case SampleSize::Unit::kChars:
      return count_code_points(document.bytes);
  }
  return 0;
}

}  // namespace

SampleSize parse_sample(const std::string& text) {
  const auto refuse = [&]() -> Error {
    return {ErrorKind::kConfig, "sample is \"" + text + "\"",
            "a number and a unit: \"3M chars\", \"500 docs\", \"1.5 MB\" (docs, bytes or chars; K, M, G)"};
  };
  double number = 0.0;
  const char* const end = text.data() + text.size();
  const auto [parsed, status] = std::from_chars(text.data(), end, number);
  std::string unit;
  for (const char* at = parsed; at != end; ++at)
    if (*at != ' ') unit += *at;
  if (status != std::errc() || unit.empty()) throw refuse();
  const std::size_t scale = std::string_view("KMG").find(unit[0] == 'k' ? 'K' : unit[0]);
  if (scale != std::string_view::npos) {
    number *= std::pow(1000.0, static_cast<double>(scale + 1));
    unit.erase(0, 1);
  }
  SampleSize size;
  if (unit == "docs" || unit == "doc" || unit == "documents") {
    size.unit = SampleSize::Unit::kDocuments;
  } else if (unit == "B" || unit == "bytes" || unit == "byte") {
    size.unit = SampleSize::Unit::kBytes;
  } else if (unit == "chars" || unit == "char" || unit == "characters") {
    size.unit = SampleSize::Unit::kChars;
  } else {
    throw refuse();
  }
  if (!(number >= 1.0 && number <= 1e15)) throw refuse();
  size.n = std::llround(number);
  return size;
}

std::vector<Document> draw_sample(CorpusReader& corpus, SampleSize size, std::uint64_t seed) {
  std::priority_queue<Drawn, std::vector<Drawn>, Later> chosen;
  std::int64_t total = 0;
  std::size_t place = 0;
  while (auto document = corpus.next()) {
    const std::string& hashed = document->error.empty() ? document->bytes : document->id;
    const std::uint64_t key = hash64(hashed, seed);
    const std::int64_t n = size_of(*document, size.unit);
    total += n;
    chosen.push({key, place++, n, *std::move(document)});
    for (; total - chosen.top().size >= size.n; chosen.pop()) total -= chosen.top().size;
  }
  std::vector<Drawn> drawn;
  for (; !chosen.empty(); chosen.pop()) drawn.push_back(std::move(const_cast<Drawn&>(chosen.top())));
  std::sort(drawn.begin(), drawn.end(), [](const Drawn& a, const Drawn& b) { return a.place < b.place; });
  std::vector<Document> documents;
  for (Drawn& one : drawn) documents.push_back(std::move(one.document));
  return documents;
}

}  // namespace lmbits
