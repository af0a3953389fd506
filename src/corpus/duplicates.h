// Documents that come twice, within a corpus and between corpora: byte for byte, and nearly.
//
// Near: the Jaccard similarity of two documents' sets of word 5-grams (ngrams.h; of a shorter document its words as one)
// is estimated from MinHash signatures (Broder 1997, doi:10.1109/SEQUEN.1997.666900) of 256 values by one permutation (Li,
// Owen and Zhang 2012, arXiv:1208.1259) with empty bins filled from others (Shrivastava 2017, arXiv:1703.04664). Pairs are
// compared where b bands of r values coincide once (LSH; Leskovec et al., Mining of Massive Datasets, section 3.4), b r =
// 256: of pairs with similarity s a share 1 - (1 - s^r)^b is. The estimate's standard error is sqrt(s (1 - s) / m), m the
// number of bins that are not empty, about 256 for documents of some hundred words. Containment is not similarity: a
// document that stands inside of a much longer one is no near copy of it (measure_overlap finds it).
//
// Why MinHash: a document costs one hash a word and 512 bytes, whatever its length, and no pair is looked at that is not
// nearly alike; exact shingle sets would have to hold the corpora.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/progress.h"
#include "src/corpus/reader.h"

namespace lmbits {

inline constexpr std::size_t kSignatureSize = 256;
using Signature = std::array<std::uint16_t, kSignatureSize>;

// Of a text with at least one word. Equal sets of 5-grams have equal signatures.
Signature signature_of(std::string_view text);
// The share of equal values, in [0, 1].
double similarity(const Signature& a, const Signature& b);

// Values a band, the largest of 16, 8, 4, 2, 1 with which a pair at `threshold` is compared with probability 0.95.
int rows_of_a_band(double threshold);
double chance_to_compare(double similarity, int rows);

struct DuplicateOptions {
  double threshold = 0.8;  // of the similarity of near copies
  int n_threads = 1;
  std::int64_t n_pairs = 20;  // listed, at most
};

// Of the documents of corpus `in`, those that also are in `other`. Within a corpus: those that stand there before.
struct DuplicateCounts {
  std::int64_t n_equal = 0, n_near = 0;              // documents; near: and not equal
  std::int64_t n_equal_bytes = 0, n_near_bytes = 0;  // theirs
};

struct DuplicatePair {
  std::size_t corpus_a, corpus_b;
  std::string a, b;  // ids
  bool equal;
  double similarity;  // estimated; 1 where equal
};

struct Duplicates {
  struct Corpus {
    std::int64_t n_documents = 0, n_bytes = 0, n_failed = 0;
  };
  std::vector<Corpus> corpora;
  std::vector<std::vector<DuplicateCounts>> counts;  // [in][other]
  std::vector<DuplicatePair> pairs;  // near copies first, most alike first, then equal ones; each pair once
};

// Empty documents, and those without a word, are never near copies. Memory: about 650 bytes a document and its id, and
// the documents of a few MiB at a time.
Duplicates find_duplicates(const std::vector<CorpusSpec>& corpora, const DuplicateOptions& options, Progress& progress);

}  // namespace lmbits
