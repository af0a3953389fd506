// Which units of several runs are the same piece of text: what paired comparisons rest on.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "src/metrics/record.h"
#include "src/stats/bootstrap.h"
#include "src/stats/ranking.h"
#include "src/store/run_directory.h"

namespace lmbits {

std::string model_name(const Run& run);  // these three throw Error(kData) where the manifest does not say
std::string corpus_name(const Run& run);
std::string convention_name(const Run& run);

// Throws Error(kData) where equal names stand for different things: two runs of one corpus name whose corpora have
// different fingerprints, one model name likewise, or the same model, corpus and convention twice.
void check_names(const std::vector<const Run*>& runs);

// Documents that were tried: scored, and failed without a later success. Throws Error(kData) for an id scored twice.
struct TriedDocuments {
  std::vector<const DocumentRecord*> scored;  // sorted by id
  std::size_t n_failed = 0;
};
TriedDocuments tried_documents(const Run& run);

// Runs whose records cut the text alike, on the documents that all of them scored.
struct PairedGroup {
  PairedUnits units;                                          // a row a run
  std::vector<std::vector<const DocumentRecord*>> documents;  // [row][document], sorted by id
  bool blocks = false;  // units are blocks of text, not documents: there are fewer than 10 documents
};

struct Pairing {
  struct Place {
    std::size_t group, row;
  };
  std::vector<PairedGroup> groups;
  std::vector<Place> places;  // of each run

  const std::vector<const DocumentRecord*>& documents(std::size_t run) const;
};

// Records pair by document id and equal n_bytes. Runs that disagree on the bytes of an id (blocks of a stream, cut by
// different tokenizers) are of different groups, which can only be compared unpaired. Documents without bytes are left
// out: they cannot change any number here. `metric` chooses the units' weight: bytes, or code points, which a block has
// in proportion to its bytes. The result points into `runs`. Throws Error(kData) where a group has no document in common.
Pairing pair_runs(const std::vector<const Run*>& runs, Metric metric);

// One stratum for rank_models: `resamples` has an entry a group.
std::vector<Column> columns_of(const Pairing& pairing, const std::vector<Resamples>& resamples,
                               const std::vector<std::size_t>& runs);

// Resamples each group by itself. The random stream is the corpus' name's, so a corpus has the same resamples whatever
// else is compared.
std::vector<Resamples> resample_groups(const Pairing& pairing, const std::string& corpus, std::int64_t n_resamples,
                                       std::uint64_t seed, int n_threads);

}  // namespace lmbits
