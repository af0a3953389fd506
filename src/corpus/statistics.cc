#include "src/corpus/statistics.h"

#include <algorithm>
#include <cmath>

#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/corpus/ngrams.h"
#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
constexpr std::size_t kShownFailures = 5;

struct Counts {
  std::int64_t n_chars = 0, n_words = 0;
  bool valid = true;
};

void add(CorpusStatistics& to, const Document& document, const Counts& counts) {
  ++to.n_documents;
  to.n_empty += document.bytes.empty() ? 1 : 0;
  to.n_bytes += static_cast<std::int64_t>(document.bytes.size());
  to.n_chars += counts.n_chars;
  to.n_words += counts.n_words;
  to.n_invalid += counts.valid ? 0 : 1;
  to.sizes.push_back(static_cast<std::int64_t>(document.bytes.size()));
}

void add(CorpusSummary& summary, const std::vector<Document>& batch, int n_threads) {
  std::vector<Counts> counts(batch.size());
  parallel_for(static_cast<std::int64_t>(batch.size()), n_threads, [&](std::int64_t i) {
    const std::string& text = batch[static_cast<std::size_t>(i)].bytes;
    counts[static_cast<std::size_t>(i)] = {count_code_points(text), static_cast<std::int64_t>(words_of(text).size()),
                                           valid_utf8_prefix(text) == text.size()};
  });
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i].error.empty()) {
      ++summary.all.n_failed;
      if (!batch[i].category.empty()) ++summary.categories[batch[i].category].n_failed;
      if (summary.failures.size() < kShownFailures) summary.failures.push_back(batch[i].id + ": " + batch[i].error);
      continue;
    }
    add(summary.all, batch[i], counts[i]);
    if (!batch[i].category.empty()) add(summary.categories[batch[i].category], batch[i], counts[i]);
  }
}

}  // namespace

std::int64_t CorpusStatistics::size_quantile(double q) const {
  if (sizes.empty()) return 0;
  const double rank = std::ceil(q * static_cast<double>(sizes.size())) - 1;
  return sizes[static_cast<std::size_t>(std::clamp(rank, 0.0, static_cast<double>(sizes.size() - 1)))];
}

CorpusSummary corpus_summary(const CorpusSpec& spec, int n_threads, Progress& progress) {
  CorpusSummary summary;
  const auto reader = open_corpus(spec);
  std::vector<Document> batch;
  std::size_t n_bytes = 0;
  const auto count = [&] {
    add(summary, batch, n_threads);
    progress.advance(static_cast<std::int64_t>(n_bytes));
    batch.clear();
    n_bytes = 0;
  };
  for (auto document = reader->next(); document && !stop_requested(); document = reader->next()) {
    n_bytes += document->bytes.size();
    batch.push_back(*std::move(document));
    if (n_bytes >= kBatchBytes) count();
  }
  count();
  std::sort(summary.all.sizes.begin(), summary.all.sizes.end());
  for (auto& [name, statistics] : summary.categories) std::sort(statistics.sizes.begin(), statistics.sizes.end());
  return summary;
}

}  // namespace lmbits
