#include "src/scoring/summary.h"

#include <algorithm>

#include "src/conventions/headline.h"
#include "src/core/json.h"
#include "src/metrics/record.h"
#include "src/report/pairing.h"
#include "src/report/table.h"

namespace lmbits {
namespace {

// {"bytes": ..., "bits_per_byte": ...} for each codec, of the text that it compressed; NAME/doc is the sum over the scored
// documents.
Json baselines_json(const std::vector<DocumentRecord>& records, const CorpusBaselines& whole,
                    std::int64_t n_bytes_scored) {
  Json json = Json::object();
  const auto add = [&](const std::string& name, std::int64_t size, std::int64_t n_bytes) {
    json[name] = {{"bytes", size},
                  {"bits_per_byte", to_json_or_null(bits_per_byte(8.0 * static_cast<double>(size), n_bytes))}};
  };
  std::map<std::string, std::int64_t> by_document;
  for (const DocumentRecord& record : records) {
    if (!record.error.empty()) continue;
    for (const auto& [name, size] : record.baselines) by_document[name + "/doc"] += size;
  }
  for (const auto& [name, size] : whole.sizes) add(name, size, whole.n_bytes);
  for (const auto& [name, size] : by_document) add(name, size, n_bytes_scored);
  return json;
}

// null where the run has too few units to resample.
Json interval_json(const Run& run, const SummaryOptions& options) {
  const Pairing pairing = pair_runs({&run}, Metric::kBitsPerByte);
  const std::int64_t n_resamples = default_resamples(1, pairing.groups[0].units.weight.size());
  const std::vector<Resamples> resamples = resample_groups(pairing, corpus_name(run), n_resamples, options.seed, 1);
  const Strata strata = {columns_of(pairing, resamples, {0})};
  if (!has_spread(strata)) return nullptr;
  const auto interval =
      interval_of(statistic(strata, 0, Metric::kBitsPerByte, Pooling::kMicro), options.level, IntervalMethod::kBca);
  if (!interval) return nullptr;
  return {{"level", options.level},
          {"method", std::string("bca bootstrap over ") + (pairing.groups[0].blocks ? "blocks" : "documents")},
          {"n_resamples", n_resamples},
          {"seed", options.seed},
          {"bits_per_byte", {interval->lo, interval->hi}}};
}

Json rates_json(const Totals& totals) {
  return {{"bits_per_byte", to_json_or_null(totals.bits_per_byte())},
          {"bits_per_char", to_json_or_null(totals.bits_per_char())},
          {"ratio", to_json_or_null(totals.ratio())}};
}

// "categories" and "macro": null where the corpus has no categories.
void add_categories(Json& json, const std::vector<DocumentRecord>& records) {
  json["categories"] = nullptr;
  json["macro"] = nullptr;
  std::map<std::string, std::vector<double>> values;  // of each rate, a category each
  for (const auto& [category, members] : by_category(records)) {
    const Totals totals = total(members);
    const Json rates = rates_json(totals);
    Json& entry = json["categories"][category];
    entry = {{"n_documents", totals.n_documents},
             {"n_failed", totals.n_failed},
             {"n_bytes", totals.n_bytes},
             {"n_chars", totals.n_chars},
             {"bits", totals.bits}};
    entry.update(rates);
    for (const auto& [rate, value] : rates.items())
      if (value.is_number()) values[rate].push_back(value.get<double>());
  }
  if (json["categories"].is_null()) return;
  for (const char* rate : {"bits_per_byte", "bits_per_char", "ratio"})
    json["macro"][rate] = to_json_or_null(mean_over_categories(values[rate]));
}

std::string contamination_warning(const Json& c) {
  const auto fixed = [](const Json& value, double factor, int decimals) {
    return value.is_number() ? format_fixed(factor * value.get<double>(), decimals) : std::string("?");
  };
  std::string names;
  for (const Json& train : c["against"]) names += (names.empty() ? "" : ", ") + train["name"].get<std::string>();
  std::string text = "contamination: " + fixed(c["share_bytes"], 100, 2) + " % of the bytes stand in " + names +
                     " (n-grams of " + c["ngram"].get<std::string>() + ")";
  if (c["n_contaminated"] > 0) {
    text += "; without the " + std::to_string(c["n_contaminated"].get<std::int64_t>()) + " contaminated of " +
            std::to_string(c["n_documents"].get<std::int64_t>()) + " documents " +
            fixed(c["bits_per_byte_clean"], 1, 4) + " bits/byte";
  }
  return text;
}

std::vector<std::string> warnings_of(const Totals& totals, const ModelInfo& model, const Json& interval) {
  std::vector<std::string> warnings = model.warnings;
  const auto count = [](std::int64_t n, const char* what) {
    return std::to_string(n) + " document" + (n == 1 ? " " : "s ") + what;
  };
  if (totals.n_failed > 0) warnings.push_back(count(totals.n_failed, "failed and count nowhere"));
  if (totals.n_lossy > 0) {
    warnings.push_back(
        count(totals.n_lossy, "came back changed from the tokenizer (lossy): these bits do not store them"));
  }
  if (totals.n_scored < totals.n_tokens) {
    warnings.push_back(std::to_string(totals.n_tokens - totals.n_scored) +
                       " tokens were not scored, but their bytes count");
  }
  if (interval.is_null()) {
    warnings.push_back("no interval: too few documents");
  } else if (interval["method"].get<std::string>().find("blocks") != std::string::npos) {
    warnings.push_back("fewer than 10 documents: the interval is a bootstrap over blocks of text, not over documents");
  }
  return warnings;
}

}  // namespace

Json summarise(const Run& run, const ModelInfo& model, const Convention& convention, const CorpusBaselines& baselines,
               const SummaryOptions& options) {
  std::vector<DocumentRecord> records = run.records;
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  const Totals totals = total(records);
  HeadlineSums sums{.bits = totals.bits,
                    .n_scored = totals.n_scored,
                    .n_bytes = totals.n_bytes,
                    .n_chars = totals.n_chars,
                    .n_parameters = model.n_parameters > 0 ? std::optional(model.n_parameters) : std::nullopt};
  for (const DocumentRecord& record : records) {
    if (!record.error.empty()) continue;
    sums.bits_squared += record.bits_squared;
    sums.n_words += record.n_words;
  }
  const Json interval = totals.n_documents > 0 && totals.n_bytes > 0 ? interval_json(run, options) : Json(nullptr);
  Json json = {{"model", model.name},
               {"corpus", corpus_name(run)},
               {"convention", convention.name},
               {"n_documents", totals.n_documents},
               {"n_failed", totals.n_failed},
               {"n_lossy", totals.n_lossy},
               {"n_bytes", totals.n_bytes},
               {"n_chars", totals.n_chars},
               {"n_tokens", totals.n_tokens},
               {"n_scored", totals.n_scored},
               {"n_forward", totals.n_forward},
               {"bits", totals.bits},
               {"bits_per_byte", to_json_or_null(totals.bits_per_byte())},
               {"bits_per_char", to_json_or_null(totals.bits_per_char())},
               {"bits_per_token", to_json_or_null(totals.bits_per_token())},
               {"ratio", to_json_or_null(totals.ratio())},
               {"interval", interval},
               {"headline", Json::object()},
               {"baselines", baselines_json(records, baselines, totals.n_bytes)},
               {"warnings", warnings_of(totals, model, interval)}};
  for (const HeadlineNumber& number : headline(convention, sums))
    json["headline"][number.name] = to_json_or_null(number.value);
  if (!baselines.dictionary.empty()) json["dictionary"] = baselines.dictionary;
  add_categories(json, records);
  if (options.contamination != nullptr) {
    json["contamination"] = contamination_json(*options.contamination, records, options.contaminated_share);
    if (json["contamination"]["n_found"] > 0) json["warnings"].push_back(contamination_warning(json["contamination"]));
  }
  return json;
}

}  // namespace lmbits
