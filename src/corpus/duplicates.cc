#include "src/corpus/duplicates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "src/core/hash_value.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/corpus/ngrams.h"

namespace lmbits {
namespace {

constexpr int kShingleWords = 5;
constexpr std::uint32_t kEmptyBin = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
constexpr std::size_t kMostNeighbours = 64;  // of a band's bucket that a document is compared with

struct Known {  // of one document
  std::uint32_t corpus;
  bool has_words = false;
  std::int64_t n_bytes;
  Hash128 hash;
  std::string id;
};

struct Best {  // of a document in one corpus: the most alike that is not equal
  float similarity = 0.0f;
  std::uint32_t document = 0;
};

struct HashOfHash {
  std::size_t operator()(const Hash128& hash) const { return static_cast<std::size_t>(hash.low); }
};

class DuplicateSearch {
 public:
  DuplicateSearch(const std::vector<CorpusSpec>& corpora, const DuplicateOptions& options, Progress& progress)
      : options_(options), progress_(progress) {
    result_.corpora.resize(corpora.size());
    result_.counts.assign(corpora.size(), std::vector<DuplicateCounts>(corpora.size()));
    for (std::size_t i = 0; i < corpora.size(); ++i) read(corpora[i], static_cast<std::uint32_t>(i));
  }

  Duplicates run() {
    std::vector<std::uint32_t> firsts = count_equal();
    best_.assign(documents_.size() * result_.corpora.size(), {});
    const int rows = rows_of_a_band(options_.threshold);
    for (std::size_t band = 0; band < kSignatureSize / static_cast<std::size_t>(rows); ++band) {
      if (stop_requested()) break;
      compare_band(firsts, band * static_cast<std::size_t>(rows), static_cast<std::size_t>(rows));
    }
    count_near();
    return std::move(result_);
  }

 private:
  void read(const CorpusSpec& spec, std::uint32_t corpus) {
    const auto reader = open_corpus(spec);
    std::vector<Document> batch;
    std::size_t n_bytes = 0;
    for (auto document = reader->next(); document && !stop_requested(); document = reader->next()) {
      if (!document->error.empty()) {
        ++result_.corpora[corpus].n_failed;
        continue;
      }
      n_bytes += document->bytes.size();
      batch.push_back(*std::move(document));
      if (n_bytes < kBatchBytes) continue;
      sign(batch, corpus);
      n_bytes = 0;
    }
    sign(batch, corpus);
  }

  void sign(std::vector<Document>& batch, std::uint32_t corpus) {
    const std::size_t first = documents_.size();
    documents_.resize(first + batch.size());
    signatures_.resize(first + batch.size());
    parallel_for(static_cast<std::int64_t>(batch.size()), options_.n_threads, [&](std::int64_t i) {
      Document& document = batch[static_cast<std::size_t>(i)];
      const std::size_t d = first + static_cast<std::size_t>(i);
      documents_[d] = {corpus, !words_of(document.bytes).empty(), static_cast<std::int64_t>(document.bytes.size()),
                       hash128(document.bytes), std::move(document.id)};
      if (documents_[d].has_words) signatures_[d] = signature_of(document.bytes);
    });
    std::int64_t n_bytes = 0;
    for (std::size_t d = first; d < documents_.size(); ++d) n_bytes += documents_[d].n_bytes;
    result_.corpora[corpus].n_documents += static_cast<std::int64_t>(batch.size());
    result_.corpora[corpus].n_bytes += n_bytes;
    progress_.advance(n_bytes);
    batch.clear();
  }

  // Counts equal documents; returns those with words that are the first of their text in their corpus: the others could
  // only say again what these say.
  std::vector<std::uint32_t> count_equal() {
    std::unordered_map<Hash128, std::vector<std::uint32_t>, HashOfHash> firsts;  // of a text: one a corpus
    std::vector<std::uint32_t> kept;
    for (std::uint32_t d = 0; d < documents_.size(); ++d) {
      std::vector<std::uint32_t>& others = firsts[documents_[d].hash];
      const auto same_corpus = [&](std::uint32_t o) { return documents_[o].corpus == documents_[d].corpus; };
      const auto before = std::find_if(others.begin(), others.end(), same_corpus);
      if (before != others.end()) {
        add_equal(d, *before);
        continue;
      }
      if (!others.empty()) list_equal(others.front(), d);
      others.push_back(d);
      if (documents_[d].has_words) kept.push_back(d);
    }
    for (const Known& document : documents_) {
      for (const std::uint32_t other : firsts[document.hash]) {
        const std::uint32_t corpus = documents_[other].corpus;
        if (corpus == document.corpus) continue;
        DuplicateCounts& counts = result_.counts[document.corpus][corpus];
        ++counts.n_equal;
        counts.n_equal_bytes += document.n_bytes;
      }
    }
    return kept;
  }

  void add_equal(std::uint32_t d, std::uint32_t before) {
    const std::uint32_t corpus = documents_[d].corpus;
    DuplicateCounts& counts = result_.counts[corpus][corpus];
    ++counts.n_equal;
    counts.n_equal_bytes += documents_[d].n_bytes;
    list_equal(before, d);
  }

  void list_equal(std::uint32_t a, std::uint32_t b) {
    if (static_cast<std::int64_t>(equal_pairs_.size()) >= options_.n_pairs || documents_[a].n_bytes == 0) return;
    equal_pairs_.push_back({documents_[a].corpus, documents_[b].corpus, documents_[a].id, documents_[b].id, true, 1.0});
  }

  // Compares the documents whose values [first, first + rows) coincide.
  void compare_band(const std::vector<std::uint32_t>& documents, std::size_t first, std::size_t rows) {
    std::vector<std::pair<std::uint64_t, std::uint32_t>> buckets(documents.size());
    for (std::size_t i = 0; i < documents.size(); ++i) {
      const auto* values = reinterpret_cast<const char*>(signatures_[documents[i]].data() + first);
      buckets[i] = {hash64({values, rows * sizeof(std::uint16_t)}), documents[i]};
    }
    std::sort(buckets.begin(), buckets.end());
    for (std::size_t begin = 0, end = 0; begin < buckets.size(); begin = end) {
      while (end < buckets.size() && buckets[end].first == buckets[begin].first) ++end;
      for (std::size_t i = begin; i < end; ++i) {
        const std::size_t last = std::min(end, i + 1 + kMostNeighbours);
        for (std::size_t j = i + 1; j < last; ++j) compare(buckets[i].second, buckets[j].second);
      }
    }
  }

  void compare(std::uint32_t a, std::uint32_t b) {
    if (documents_[a].hash == documents_[b].hash) return;
    const double s = similarity(signatures_[a], signatures_[b]);
    if (s < options_.threshold) return;
    keep_best(a, b, s);
    keep_best(b, a, s);
  }

  Best& best(std::uint32_t d, std::size_t corpus) { return best_[d * result_.corpora.size() + corpus]; }

  void keep_best(std::uint32_t d, std::uint32_t other, double s) {
    Best& known = best(d, documents_[other].corpus);
    const auto found = static_cast<float>(s);
    if (found > known.similarity || (found == known.similarity && other < known.document)) known = {found, other};
  }

  void count_near() {
    std::vector<DuplicatePair> pairs;
    for (std::uint32_t d = 0; d < documents_.size(); ++d) {
      const Known& document = documents_[d];
      for (std::size_t corpus = 0; corpus < result_.corpora.size(); ++corpus) {
        const Best found = best(d, corpus);
        if (found.similarity == 0.0f) continue;
        const bool within = corpus == document.corpus;
        if (!within || found.document < d) {
          DuplicateCounts& counts = result_.counts[document.corpus][corpus];
          ++counts.n_near;
          counts.n_near_bytes += document.n_bytes;
        }
        // A pair is listed by its later document, or by the earlier one whose best it is while it is not the later's.
        if (found.document > d && best(found.document, document.corpus).document == d) continue;
        const std::uint32_t a = std::min(d, found.document), b = std::max(d, found.document);
        pairs.push_back({documents_[a].corpus, documents_[b].corpus, documents_[a].id, documents_[b].id, false,
                         static_cast<double>(found.similarity)});
      }
    }
    std::stable_sort(pairs.begin(), pairs.end(),
                     [](const auto& a, const auto& b) { return a.similarity > b.similarity; });
    pairs.insert(pairs.end(), equal_pairs_.begin(), equal_pairs_.end());
    if (static_cast<std::int64_t>(pairs.size()) > options_.n_pairs)
      pairs.resize(static_cast<std::size_t>(options_.n_pairs));
    result_.pairs = std::move(pairs);
  }

  const DuplicateOptions& options_;
  Progress& progress_;
  Duplicates result_;
  std::vector<Known> documents_;
  std::vector<Signature> signatures_;
  std::vector<Best> best_;  // [document][corpus]
  std::vector<DuplicatePair> equal_pairs_;
};

}  // namespace

Signature signature_of(std::string_view text) {
  const std::vector<Word> words = words_of(text);
  std::array<std::uint32_t, kSignatureSize> bins;
  bins.fill(kEmptyBin);
  const auto add = [&](std::uint64_t hash) {
    const std::uint64_t key = mixed(hash);
    std::uint32_t& bin = bins[key >> 56];
    bin = std::min(bin, std::min(static_cast<std::uint32_t>(key), kEmptyBin - 1));
  };
  const int n = std::min(kShingleWords, static_cast<int>(words.size()));
  each_ngram_block(text, words, {NgramRule::Unit::kWords, n}, [&](std::size_t, std::span<const std::uint64_t> hashes) {
    for (const std::uint64_t hash : hashes) add(hash);
  });
  Signature signature{};
  for (std::size_t i = 0; i < kSignatureSize; ++i) {
    std::size_t from = i;  // an empty bin takes the value of another, chosen by its own number alone
    for (std::uint64_t attempt = 1; bins[from] == kEmptyBin && n > 0; ++attempt) from = mixed(i << 32 | attempt) >> 56;
    signature[i] = static_cast<std::uint16_t>(mixed(bins[from]));
  }
  return signature;
}

double similarity(const Signature& a, const Signature& b) {
  int n_equal = 0;
  for (std::size_t i = 0; i < kSignatureSize; ++i) n_equal += a[i] == b[i] ? 1 : 0;
  return static_cast<double>(n_equal) / static_cast<double>(kSignatureSize);
}

double chance_to_compare(double similarity, int rows) {
  return 1.0 - std::pow(1.0 - std::pow(similarity, rows), static_cast<double>(kSignatureSize) / rows);
}

int rows_of_a_band(double threshold) {
  int rows = 16;
  while (rows > 1 && chance_to_compare(threshold, rows) < 0.95) rows /= 2;
  return rows;
}

Duplicates find_duplicates(const std::vector<CorpusSpec>& corpora, const DuplicateOptions& options,
                           Progress& progress) {
  return DuplicateSearch(corpora, options, progress).run();
}

}  // namespace lmbits
