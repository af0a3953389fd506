#include "src/corpus/overlap.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "src/core/error.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/corpus/manifest.h"

namespace lmbits {
namespace {

constexpr std::int64_t kTableBytesEach =
    24;  // of an n-gram: 1.5 slots of 13 bytes, 2 of the filter, 1 of text, rounded
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::size_t kPiecesAtOnce = 8;       // a thread
constexpr std::size_t kWordsCarry = 4096;      // bytes of a text's last piece that are looked at again with the next
constexpr std::size_t kMostText = 0xffff0000;  // places are 32 bits

__extension__ using Wide = unsigned __int128;

// x scaled from [0, 2^64) to [0, n).
std::size_t scaled(std::uint64_t x, std::size_t n) { return static_cast<std::size_t>(static_cast<Wide>(x) * n >> 64); }

// The n-grams of some documents, and which of them were seen elsewhere.
class NgramTable {
 public:
  NgramTable(const NgramRule& rule, std::size_t n_ngrams)
      : rule_(rule),
        slots_(n_ngrams + n_ngrams / 2 + 1),
        places_(slots_.size()),
        found_(slots_.size()),
        filter_(n_ngrams / 4 + 1) {}

  // `place`: where the n-gram stands in `text`.
  void insert(std::uint64_t hash, std::uint32_t place, std::string_view text) {
    const std::uint64_t key = key_of(hash);
    filter_[filter_word(key)] |= filter_bits(key);
    std::size_t slot = scaled(key, slots_.size());
    for (; slots_[slot] != 0; slot = next(slot))
      if (slots_[slot] == key && same(text, place, text, places_[slot])) return;
    slots_[slot] = key;
    places_[slot] = place;
  }

  // Marks what is in the table of the n-grams of another text.
  void mark(std::string_view other, std::span<const Word> words, std::string_view text) {
    std::array<std::uint64_t, 512> keys;
    each_ngram_block(other, words, rule_, [&](std::size_t first, std::span<const std::uint64_t> hashes) {
      for (std::size_t i = 0; i < hashes.size(); ++i) {
        keys[i] = key_of(hashes[i]);
        __builtin_prefetch(&filter_[filter_word(keys[i])]);
      }
      for (std::size_t i = 0; i < hashes.size(); ++i) {
        const std::uint64_t bits = filter_bits(keys[i]);
        if ((filter_[filter_word(keys[i])] & bits) != bits) continue;
        std::size_t slot = scaled(keys[i], slots_.size());
        for (; slots_[slot] != 0; slot = next(slot)) {
          if (slots_[slot] != keys[i] || !same(other, first + i, text, places_[slot])) continue;
          std::atomic_ref<std::uint8_t>(found_[slot]).store(1, std::memory_order_relaxed);
          break;
        }
      }
    });
  }

  bool was_found(std::uint64_t hash, std::uint32_t place, std::string_view text) const {
    const std::uint64_t key = key_of(hash);
    std::size_t slot = scaled(key, slots_.size());
    while (slots_[slot] != key || !same(text, place, text, places_[slot])) slot = next(slot);
    return found_[slot] != 0;
  }

 private:
  static std::uint64_t key_of(std::uint64_t hash) {
    const std::uint64_t key = mixed(hash);
    return key == 0 ? 1 : key;  // 0 is an empty slot
  }
  std::size_t filter_word(std::uint64_t key) const { return scaled(key * 0x9e3779b97f4a7c15, filter_.size()); }
  static std::uint64_t filter_bits(std::uint64_t key) {
    return std::uint64_t{1} << (key & 63) | std::uint64_t{1} << (key >> 6 & 63);
  }
  std::size_t next(std::size_t slot) const { return slot + 1 == slots_.size() ? 0 : slot + 1; }
  bool same(std::string_view a, std::size_t at_a, std::string_view b, std::size_t at_b) const {
    return rule_.unit == NgramRule::Unit::kWords ||
           std::memcmp(a.data() + at_a, b.data() + at_b, static_cast<std::size_t>(rule_.n)) == 0;
  }

  NgramRule rule_;
  std::vector<std::uint64_t> slots_;  // keys; linear probing
  std::vector<std::uint32_t> places_;
  std::vector<std::uint8_t> found_;
  std::vector<std::uint64_t>
      filter_;  // two bits of one word for each n-gram, 16 bits of room: 1-2 % pass it by accident
};

// Documents of the corpus that are in the table together.
struct Part {
  std::string text;  // theirs, one after the other
  std::vector<std::size_t> begins;
  std::size_t first = 0;  // of Overlap::documents
};

std::vector<Word> words_if(const NgramRule& rule, std::string_view text) {
  return rule.unit == NgramRule::Unit::kWords ? words_of(text) : std::vector<Word>();
}

class Measurement {
 public:
  Measurement(const std::vector<CorpusSpec>& train, const OverlapOptions& options, Progress& progress)
      : train_(train), options_(options), progress_(progress) {}

  Overlap run(const CorpusSpec& corpus) {
    const auto reader = open_corpus(corpus);
    const auto room = static_cast<std::size_t>(std::max<std::int64_t>(options_.memory_bytes / kTableBytesEach, 1));
    Part part;
    while (const auto document = reader->next()) {
      if (!document->error.empty()) {
        ++overlap_.n_failed;
        continue;
      }
      const std::size_t n = document->bytes.size();
      if (n > kMostText)
        throw Error(ErrorKind::kData, document->id + ": " + std::to_string(n) + " bytes are too long for one document",
                    "cut it: --split paragraphs");
      if (!part.begins.empty() && part.text.size() + n > std::min(room, kMostText)) compare(part);
      part.begins.push_back(part.text.size());
      part.text += document->bytes;
      overlap_.documents.push_back({document->id, document->category, static_cast<std::int64_t>(n), 0, 0, {}});
    }
    if (!part.begins.empty() || overlap_.n_passes == 0) compare(part);
    return std::move(overlap_);
  }

 private:
  // Looks for the part's n-grams in all of the other texts, writes down what was found, and empties it.
  void compare(Part& part) {
    NgramTable table(options_.rule, part.text.size());
    each_document(part, [&](DocumentOverlap&, std::string_view, const auto&, std::size_t begin, auto first,
                            std::span<const std::uint64_t> hashes) {
      for (std::size_t i = 0; i < hashes.size(); ++i)
        table.insert(hashes[i], static_cast<std::uint32_t>(begin + first + i), part.text);
    });
    for (const CorpusSpec& train : train_) pass_over(train, table, part.text);
    ++overlap_.n_passes;
    each_document(part, [&](DocumentOverlap& document, std::string_view, const std::vector<Word>& words,
                            std::size_t begin, auto first, std::span<const std::uint64_t> hashes) {
      for (std::size_t i = 0; i < hashes.size(); ++i) {
        ++document.n_ngrams;
        const auto place = static_cast<std::uint32_t>(begin + first + i);
        if (table.was_found(hashes[i], place, part.text)) add_found(document, words, first + i);
      }
    });
    part = {{}, {}, overlap_.documents.size()};
  }

  template <typename Work>
  void each_document(const Part& part, Work&& work) {
    for (std::size_t d = 0; d < part.begins.size(); ++d) {
      const std::size_t begin = part.begins[d];
      DocumentOverlap& document = overlap_.documents[part.first + d];
      const auto text = std::string_view(part.text).substr(begin, static_cast<std::size_t>(document.n_bytes));
      const std::vector<Word> words = words_if(options_.rule, text);
      each_ngram_block(text, words, options_.rule, [&](std::size_t first, std::span<const std::uint64_t> hashes) {
        work(document, text, words, begin, first, hashes);
      });
    }
  }

  void add_found(DocumentOverlap& document, const std::vector<Word>& words, std::size_t i) const {
    ++document.n_found;
    const bool is_words = options_.rule.unit == NgramRule::Unit::kWords;
    const auto n = static_cast<std::size_t>(options_.rule.n);
    const auto begin = static_cast<std::int64_t>(is_words ? words[i].begin : i);
    const auto end = static_cast<std::int64_t>(is_words ? words[i + n - 1].end : i + n);
    if (!document.found.empty() && document.found.back().second >= begin) {
      document.found.back().second = end;
    } else {
      document.found.emplace_back(begin, end);
    }
  }

  void pass_over(const CorpusSpec& train, NgramTable& table, std::string_view text) {
    CorpusSpec spec = train;
    // Long texts in pieces, so that none is in memory as a whole. A manifest's filters need whole documents.
    if (spec.split == "none" && spec.sample.empty() && !is_corpus_manifest(spec.path))
      spec.split = std::to_string(kPieceBytes);
    const auto reader = open_corpus(spec);
    const bool first_pass = overlap_.n_passes == 0;
    std::vector<std::string> pieces;
    std::size_t n_bytes = 0;
    std::string before;  // the end of the piece before
    const std::size_t at_once = kPiecesAtOnce * static_cast<std::size_t>(options_.n_threads);
    const auto scan = [&] {
      parallel_for(static_cast<std::int64_t>(pieces.size()), options_.n_threads, [&](std::int64_t i) {
        const std::string& piece = pieces[static_cast<std::size_t>(i)];
        table.mark(piece, words_if(options_.rule, piece), text);
      });
      progress_.advance(static_cast<std::int64_t>(n_bytes));
      pieces.clear();
      n_bytes = 0;
    };
    while (auto document = reader->next()) {
      if (stop_requested()) return;
      if (first_pass) overlap_.n_train_failed += document->error.empty() ? 0 : 1;
      if (first_pass) overlap_.n_train_bytes += static_cast<std::int64_t>(document->bytes.size());
      n_bytes += document->bytes.size();
      pieces.push_back(document->continues ? before + document->bytes : std::move(document->bytes));
      before = end_of(pieces.back());
      if (pieces.size() >= at_once || n_bytes >= at_once * kPieceBytes) scan();
    }
    scan();
  }

  // What of a piece must be looked at again with the next one, for the n-grams that lie in both.
  std::string end_of(const std::string& piece) const {
    if (options_.rule.unit == NgramRule::Unit::kBytes)
      return piece.substr(piece.size() - std::min(piece.size(), static_cast<std::size_t>(options_.rule.n - 1)));
    const std::size_t carry = std::max(kWordsCarry, 64 * static_cast<std::size_t>(options_.rule.n));
    if (piece.size() <= carry) return piece;
    const std::size_t space = piece.find_first_of(" \n", piece.size() - carry);  // no word is cut
    return space == std::string::npos ? std::string() : piece.substr(space);
  }

  const std::vector<CorpusSpec>& train_;
  const OverlapOptions& options_;
  Progress& progress_;
  Overlap overlap_;
};

}  // namespace

std::int64_t DocumentOverlap::n_bytes_found() const {
  std::int64_t n = 0;
  for (const auto& [begin, end] : found) n += end - begin;
  return n;
}

std::int64_t DocumentOverlap::longest_found() const {
  std::int64_t longest = 0;
  for (const auto& [begin, end] : found) longest = std::max(longest, end - begin);
  return longest;
}

Overlap measure_overlap(const CorpusSpec& corpus, const std::vector<CorpusSpec>& train, const OverlapOptions& options,
                        Progress& progress) {
  return Measurement(train, options, progress).run(corpus);
}

OverlapTotals total(const std::vector<DocumentOverlap>& documents, double share) {
  OverlapTotals totals;
  for (const DocumentOverlap& document : documents) {
    ++totals.n_documents;
    totals.n_too_short += document.n_ngrams == 0 ? 1 : 0;
    totals.n_contaminated += document.n_found > 0 && document.share() >= share ? 1 : 0;
    totals.n_bytes += document.n_bytes;
    totals.n_bytes_found += document.n_bytes_found();
    totals.n_ngrams += document.n_ngrams;
    totals.n_found += document.n_found;
    totals.longest_found = std::max(totals.longest_found, document.longest_found());
  }
  return totals;
}

}  // namespace lmbits
