#include "src/scoring/contamination.h"

#include <algorithm>
#include <map>

#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/stop.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWorstShown = 10;

Json to_json(const DocumentOverlap& document) {
  return {{"id", document.id},
          {"n_bytes", document.n_bytes},
          {"n_ngrams", document.n_ngrams},
          {"n_found", document.n_found},
          {"found", document.found}};
}

DocumentOverlap overlap_from_json(const Json& json) {
  DocumentOverlap document;
  document.id = json.at("id").get<std::string>();
  document.n_bytes = json.at("n_bytes").get<std::int64_t>();
  document.n_ngrams = json.at("n_ngrams").get<std::int64_t>();
  document.n_found = json.at("n_found").get<std::int64_t>();
  json.at("found").get_to(document.found);
  return document;
}

// A file of "CRC-32C, space, JSON"; false where it is not there, damaged or of something else.
bool read_cached(const fs::path& path, Contamination& contamination) {
  if (!fs::exists(path)) return false;
  const std::string text = read_file(path);
  if (text.size() < 10 || crc32c_hex(std::string_view(text).substr(9)) != text.substr(0, 8)) return false;
  const Json json = Json::parse(std::string_view(text).substr(9), nullptr, false);
  if (!json.is_object() || json.value("identity", Json()) != contamination.identity) return false;
  contamination.n_train_bytes = json.at("n_train_bytes").get<std::int64_t>();
  contamination.n_train_failed = json.at("n_train_failed").get<std::int64_t>();
  for (const Json& document : json.at("documents")) contamination.documents.push_back(overlap_from_json(document));
  return true;
}

void write_cached(const fs::path& path, const Contamination& contamination) {
  Json json = {{"identity", contamination.identity},
               {"n_train_bytes", contamination.n_train_bytes},
               {"n_train_failed", contamination.n_train_failed},
               {"documents", Json::array()}};
  for (const DocumentOverlap& document : contamination.documents) json["documents"].push_back(to_json(document));
  try {
    const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    fs::create_directories(path.parent_path());
    write_file_atomically(path, crc32c_hex(text) + " " + text);
  } catch (const std::exception&) {  // a full disk costs the next process some time, no more
  }
}

// Bits and bytes of what is clean and of what is not.
struct Sides {
  std::int64_t n = 0, n_contaminated = 0;
  double bits[2] = {0.0, 0.0}, n_bytes[2] = {0.0, 0.0};

  void add(bool contaminated, double some_bits, double some_bytes) {
    ++n;
    n_contaminated += contaminated ? 1 : 0;
    bits[contaminated ? 1 : 0] += some_bits;
    n_bytes[contaminated ? 1 : 0] += some_bytes;
  }

  Json rates() const {
    const auto rate = [](double b, double n_b) { return n_b > 0 ? Json(b / n_b) : Json(nullptr); };
    return {{"bits_per_byte", rate(bits[0] + bits[1], n_bytes[0] + n_bytes[1])},
            {"bits_per_byte_clean", rate(bits[0], n_bytes[0])},
            {"bits_per_byte_contaminated", rate(bits[1], n_bytes[1])}};
  }
};

// Bytes of [begin, end) that were found.
std::int64_t found_within(const DocumentOverlap& document, std::int64_t begin, std::int64_t end) {
  std::int64_t n = 0;
  for (const auto& [from, to] : document.found)
    n += std::max<std::int64_t>(0, std::min(to, end) - std::max(from, begin));
  return n;
}

void add_blocks(Sides& blocks, const DocumentOverlap& overlap, const DocumentRecord& record, double share) {
  if (record.block_bits.empty()) {
    blocks.add(overlap.n_found > 0 && overlap.share() >= share, record.bits, static_cast<double>(record.n_bytes));
    return;
  }
  for (std::size_t b = 0; b < record.block_bits.size(); ++b) {
    const auto begin = static_cast<std::int64_t>(b) * record.block_bytes;
    const std::int64_t end = std::min(begin + record.block_bytes, record.n_bytes);
    const std::int64_t found = found_within(overlap, begin, end);
    blocks.add(found > 0 && static_cast<double>(found) >= share * static_cast<double>(end - begin),
               record.block_bits[b], static_cast<double>(end - begin));
  }
}

Json worst_json(const std::vector<DocumentOverlap>& documents,
                const std::map<std::string, const DocumentRecord*>& records) {
  std::vector<const DocumentOverlap*> worst;
  for (const DocumentOverlap& document : documents)
    if (document.n_found > 0) worst.push_back(&document);
  std::sort(worst.begin(), worst.end(), [](const auto* a, const auto* b) {
    if (a->share() != b->share()) return a->share() > b->share();
    return a->id < b->id;
  });
  if (worst.size() > kWorstShown) worst.resize(kWorstShown);
  Json json = Json::array();
  for (const DocumentOverlap* document : worst) {
    const auto record = records.find(document->id);
    const bool scored = record != records.end() && record->second->n_bytes > 0;
    json.push_back({{"id", document->id},
                    {"n_bytes", document->n_bytes},
                    {"share_bytes", document->share()},
                    {"share_ngrams", static_cast<double>(document->n_found) / static_cast<double>(document->n_ngrams)},
                    {"longest_found", document->longest_found()},
                    {"bits_per_byte", scored ? Json(record->second->bits / static_cast<double>(record->second->n_bytes))
                                             : Json(nullptr)}});
  }
  return json;
}

Json share_of(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? Json(static_cast<double>(part) / static_cast<double>(whole)) : Json(nullptr);
}

}  // namespace

Contamination find_contamination(const CorpusSpec& corpus, const std::string& fingerprint,
                                 const ContaminationOptions& options, const fs::path& cache) {
  Contamination result;
  result.against = Json::array();
  Json fingerprints = Json::array();
  for (const CorpusSpec& train : options.train) {
    const std::string of_train = corpus_fingerprint(train);
    fingerprints.push_back(of_train);
    result.against.push_back({{"name", corpus_name(train)}, {"path", train.path}, {"fingerprint", of_train}});
  }
  result.identity = {
      {"schema", 1}, {"corpus", fingerprint}, {"train", fingerprints}, {"ngram", to_string(options.rule)}};
  const fs::path path = cache / (Fingerprint().add(result.identity.dump()).hex() + ".json");
  if (read_cached(path, result)) return result;
  NoProgress nobody;
  const OverlapOptions how{options.rule, 1, options.memory_bytes};
  Overlap overlap = measure_overlap(corpus, options.train, how, nobody);
  if (stop_requested()) return result;
  result.documents = std::move(overlap.documents);
  result.n_train_bytes = overlap.n_train_bytes;
  result.n_train_failed = overlap.n_train_failed;
  write_cached(path, result);
  return result;
}

Json contamination_json(const Contamination& contamination, const std::vector<DocumentRecord>& records, double share) {
  std::map<std::string, const DocumentRecord*> by_id;
  for (const DocumentRecord& record : records)
    if (record.error.empty()) by_id.emplace(record.id, &record);
  Sides documents, blocks;
  for (const DocumentOverlap& overlap : contamination.documents) {
    const auto found = by_id.find(overlap.id);
    if (found == by_id.end()) continue;
    const DocumentRecord& record = *found->second;
    documents.add(overlap.n_found > 0 && overlap.share() >= share, record.bits, static_cast<double>(record.n_bytes));
    add_blocks(blocks, overlap, record, share);
  }
  const OverlapTotals totals = total(contamination.documents, share);
  Json json = {{"against", contamination.against},
               {"ngram", contamination.identity["ngram"]},
               {"identity", contamination.identity},
               {"threshold", share},
               {"n_train_bytes", contamination.n_train_bytes},
               {"n_train_failed", contamination.n_train_failed},
               {"n_documents", totals.n_documents},
               {"n_too_short", totals.n_too_short},
               {"n_contaminated", totals.n_contaminated},
               {"n_bytes", totals.n_bytes},
               {"n_bytes_found", totals.n_bytes_found},
               {"share_bytes", share_of(totals.n_bytes_found, totals.n_bytes)},
               {"n_ngrams", totals.n_ngrams},
               {"n_found", totals.n_found},
               {"share_ngrams", share_of(totals.n_found, totals.n_ngrams)},
               {"longest_found", totals.longest_found}};
  json.update(documents.rates());
  json["blocks"] = blocks.n > documents.n ? blocks.rates() : Json(nullptr);
  if (json["blocks"].is_object()) {
    json["blocks"]["n"] = blocks.n;
    json["blocks"]["n_contaminated"] = blocks.n_contaminated;
  }
  json["worst"] = worst_json(contamination.documents, by_id);
  return json;
}

}  // namespace lmbits
