#include "src/report/pairing.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "src/core/error.h"

namespace lmbits {
namespace {

constexpr std::size_t kFewestDocuments = 10;  // fewer: the units are blocks

std::string manifest_text(const Run& run, const char* object, const char* key) {
  const auto outer = run.manifest.find(object);
  if (outer != run.manifest.end() && outer->is_object()) {
    const auto inner = outer->find(key);
    if (inner != outer->end() && inner->is_string()) return inner->get<std::string>();
  }
  throw Error(ErrorKind::kData,
              "the manifest in " + run.path.string() + " has no text at \"" + object + "\".\"" + key + "\"",
              "score this run again, or move its folder away");
}

void refuse_if_different(const Run& a, const Run& b, const char* what, const char* plural, const std::string& name) {
  const std::string left = manifest_text(a, "identity", what), right = manifest_text(b, "identity", what);
  if (left == right) return;
  throw Error(ErrorKind::kData,
              std::string("two different ") + plural + " are named " + name + ": " + left + " in " + a.path.string() +
                  ", " + right + " in " + b.path.string(),
              "give them different names, or compare only runs of one of them");
}

struct Block {
  double n_bytes, bits;
};

// The blocks of a document, or none where its record does not cut all of it.
std::vector<Block> blocks_of(const DocumentRecord& record) {
  if (record.block_bytes <= 0 || record.block_bits.empty()) return {};
  const std::int64_t n_blocks = (record.n_bytes + record.block_bytes - 1) / record.block_bytes;
  if (n_blocks != static_cast<std::int64_t>(record.block_bits.size())) return {};
  std::vector<Block> blocks;
  for (std::int64_t i = 0; i < n_blocks; ++i) {
    const std::int64_t n_bytes = std::min(record.block_bytes, record.n_bytes - i * record.block_bytes);
    blocks.push_back({static_cast<double>(n_bytes), record.block_bits[static_cast<std::size_t>(i)]});
  }
  return blocks;
}

// Appends the units of document d to `units`: its blocks where they are asked for and all rows have them, else itself.
void append_units(const PairedGroup& group, std::size_t d, Metric metric, PairedUnits& units) {
  const DocumentRecord& first = *group.documents[0][d];
  const auto n_bytes = static_cast<double>(first.n_bytes);
  const double weight_per_byte = metric == Metric::kBitsPerChar ? static_cast<double>(first.n_chars) / n_bytes : 1.0;
  std::vector<std::vector<Block>> blocks;
  for (const auto& row : group.documents) {
    blocks.push_back(group.blocks ? blocks_of(*row[d]) : std::vector<Block>{});
    if (blocks.back().empty()) break;
  }
  const bool by_block =
      blocks.size() == group.documents.size() && !blocks.back().empty() &&
      std::all_of(blocks.begin(), blocks.end(), [&](const auto& b) { return b.size() == blocks[0].size(); });
  if (by_block) {
    for (const Block& block : blocks[0]) units.weight.push_back(block.n_bytes * weight_per_byte);
  } else {
    units.weight.push_back(n_bytes * weight_per_byte);
  }
  for (std::size_t r = 0; r < group.documents.size(); ++r) {
    if (by_block) {
      for (const Block& block : blocks[r]) units.bits[r].push_back(block.bits);
    } else {
      units.bits[r].push_back(group.documents[r][d]->bits);
    }
  }
}

// The documents of a group while runs are added to it: by id, their bytes and how many of the runs scored them.
struct KnownDocument {
  std::int64_t n_bytes;
  std::size_t n_runs;
};
using KnownDocuments = std::unordered_map<std::string_view, KnownDocument>;

bool agrees(const KnownDocuments& known, const std::vector<const DocumentRecord*>& documents) {
  return std::all_of(documents.begin(), documents.end(), [&](const DocumentRecord* record) {
    const auto found = known.find(record->id);
    return found == known.end() || found->second.n_bytes == record->n_bytes;
  });
}

void keep_common(PairedGroup& group, const KnownDocuments& known) {
  const std::size_t n_runs = group.documents.size();
  for (auto& row : group.documents) {
    std::erase_if(row, [&](const DocumentRecord* r) { return r->n_bytes == 0 || known.at(r->id).n_runs < n_runs; });
  }
}

}  // namespace

std::string model_name(const Run& run) { return manifest_text(run, "model", "name"); }
std::string corpus_name(const Run& run) { return manifest_text(run, "corpus", "name"); }
std::string convention_name(const Run& run) { return manifest_text(run, "convention", "name"); }

void check_names(const std::vector<const Run*>& runs) {
  std::map<std::string, const Run*> corpora, models;
  std::map<std::tuple<std::string, std::string, std::string>, const Run*> triples;
  for (const Run* run : runs) {
    const std::string model = model_name(*run), corpus = corpus_name(*run);
    refuse_if_different(*corpora.emplace(corpus, run).first->second, *run, "corpus", "corpora", corpus);
    refuse_if_different(*models.emplace(model, run).first->second, *run, "model", "models", model);
    const auto [there, is_new] = triples.emplace(std::tuple(model, corpus, convention_name(*run)), run);
    if (!is_new) {
      throw Error(ErrorKind::kData,
                  "model " + model + " has two runs on corpus " + corpus + " with convention " + convention_name(*run) +
                      ": " + there->second->path.string() + " and " + run->path.string(),
                  "move one of them away");
    }
  }
}

TriedDocuments tried_documents(const Run& run) {
  TriedDocuments tried;
  std::unordered_set<std::string_view> scored, failed;
  for (const DocumentRecord& record : run.records) {
    if (!record.error.empty()) {
      failed.insert(record.id);
    } else if (scored.insert(record.id).second) {
      tried.scored.push_back(&record);
    } else {
      throw Error(ErrorKind::kData, "document " + record.id + " is scored twice in " + run.path.string(),
                  "score this run again");
    }
  }
  for (const std::string_view id : failed) tried.n_failed += scored.count(id) == 0;
  std::sort(tried.scored.begin(), tried.scored.end(),
            [](const DocumentRecord* a, const DocumentRecord* b) { return a->id < b->id; });
  return tried;
}

const std::vector<const DocumentRecord*>& Pairing::documents(std::size_t run) const {
  return groups[places[run].group].documents[places[run].row];
}

Pairing pair_runs(const std::vector<const Run*>& runs, Metric metric) {
  Pairing pairing;
  std::vector<KnownDocuments> known;  // of each group
  for (const Run* run : runs) {
    std::vector<const DocumentRecord*> documents = tried_documents(*run).scored;
    std::size_t g = 0;
    while (g < known.size() && !agrees(known[g], documents)) ++g;
    if (g == known.size()) {
      known.emplace_back();
      pairing.groups.emplace_back();
    }
    for (const DocumentRecord* record : documents)
      ++known[g].emplace(record->id, KnownDocument{record->n_bytes, 0}).first->second.n_runs;
    pairing.places.push_back({g, pairing.groups[g].documents.size()});
    pairing.groups[g].documents.push_back(std::move(documents));
  }
  for (std::size_t g = 0; g < known.size(); ++g) {
    PairedGroup& group = pairing.groups[g];
    keep_common(group, known[g]);
    if (group.documents[0].empty()) {
      throw Error(ErrorKind::kData,
                  "no document with text is scored by all of the " + std::to_string(group.documents.size()) +
                      " models compared on corpus " + corpus_name(*runs[0]),
                  "leave out the models with failed documents");
    }
    group.blocks = group.documents[0].size() < kFewestDocuments;
    group.units.bits.resize(group.documents.size());
    for (std::size_t d = 0; d < group.documents[0].size(); ++d) append_units(group, d, metric, group.units);
  }
  return pairing;
}

std::vector<Column> columns_of(const Pairing& pairing, const std::vector<Resamples>& resamples,
                               const std::vector<std::size_t>& runs) {
  std::vector<Column> columns;
  for (const std::size_t run : runs) {
    const auto [group, row] = pairing.places[run];
    const PairedUnits& units = pairing.groups[group].units;
    columns.push_back({units.weight, units.bits[row], resamples[group].weight, resamples[group].bits[row], group});
  }
  return columns;
}

std::vector<Resamples> resample_groups(const Pairing& pairing, const std::string& corpus, std::int64_t n_resamples,
                                       std::uint64_t seed, int n_threads) {
  std::uint32_t stream = 2166136261u;  // FNV-1a (Fowler, Noll & Vo)
  for (const char c : corpus) stream = (stream ^ static_cast<unsigned char>(c)) * 16777619u;
  std::vector<Resamples> resamples;
  for (const PairedGroup& group : pairing.groups) {
    resamples.push_back(resample(group.units, n_resamples, seed, stream + resamples.size(), n_threads));
  }
  return resamples;
}

}  // namespace lmbits
