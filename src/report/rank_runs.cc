#include "src/report/rank_runs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/pairing.h"
#include "src/report/wording.h"

namespace lmbits {
namespace {

struct Baseline {
  double bits = 0.0, n_bytes = 0.0, n_chars = 0.0;
};

// One corpus under one convention: what is compared there, kept for the overall tables.
struct Entry {
  std::string corpus;
  std::vector<const Run*> runs;  // those that are ranked
  Pairing pairing;
  std::vector<Resamples> resamples;
  std::map<std::string, Baseline> baselines;
  RankReportTable table;
};

struct Sums {
  double bits = 0.0, n_bytes = 0.0, n_chars = 0.0;
};

Sums sums_of(const std::vector<const DocumentRecord*>& documents) {
  Sums sums;
  for (const DocumentRecord* record : documents) {
    sums.bits += record->bits;
    sums.n_bytes += static_cast<double>(record->n_bytes);
    sums.n_chars += static_cast<double>(record->n_chars);
  }
  return sums;
}

std::optional<double> defined(double value) { return std::isfinite(value) ? std::optional(value) : std::nullopt; }

double weight_of(Metric metric, double n_bytes, double n_chars) {
  return metric == Metric::kBitsPerChar ? n_chars : n_bytes;
}

// One metric of one row over the strata it pools (one, for a corpus' own table).
template <typename S>
std::optional<double> pooled_metric(const std::vector<S>& strata, Metric metric, Pooling pooling) {
  double bits = 0.0, weight = 0.0, total = 0.0;
  for (const S& s : strata) {
    bits += s.bits;
    weight += weight_of(metric, s.n_bytes, s.n_chars);
    total += metric_value(metric, s.bits, weight_of(metric, s.n_bytes, s.n_chars));
  }
  return defined(pooling == Pooling::kMicro ? metric_value(metric, bits, weight)
                                            : total / static_cast<double>(strata.size()));
}

template <typename S>
void set_metrics(RankReportRow& row, const std::vector<S>& strata, Pooling pooling) {
  row.bits_per_byte = pooled_metric(strata, Metric::kBitsPerByte, pooling);
  row.bits_per_char = pooled_metric(strata, Metric::kBitsPerChar, pooling);
  row.ratio = pooled_metric(strata, Metric::kRatio, pooling);
}

// Says why a run cannot be ranked; empty where it can.
std::string why_unranked(const Run& run, const TriedDocuments& tried) {
  const std::size_t n_scored = tried.scored.size(), n_tried = n_scored + tried.n_failed;
  if (run.summary.is_null()) return "unfinished after " + std::to_string(n_scored) + " scored documents, not ranked";
  if (n_scored == 0) return "no document is scored, not ranked";
  if (std::ranges::none_of(tried.scored, [](const auto* record) { return record->n_bytes > 0; }))
    return "no document with text, not ranked";
  if (2 * n_scored < n_tried) {
    return std::to_string(tried.n_failed) + " of " + std::to_string(n_tried) + " documents failed, not ranked";
  }
  return {};
}

void warn_of_run(const Run& run, const TriedDocuments& tried, std::vector<std::string>& warnings) {
  const std::string name = model_name(run);
  const auto n_lossy =
      std::count_if(tried.scored.begin(), tried.scored.end(), [](const auto* r) { return !r->lossless; });
  if (n_lossy > 0) {
    warnings.push_back(name + ": lossy, its tokenizer does not give back " + std::to_string(n_lossy) + " of " +
                       std::to_string(tried.scored.size()) + " documents byte for byte");
  }
  if (run.n_damaged_lines > 0) {
    warnings.push_back(name + ": " + std::to_string(run.n_damaged_lines) + " damaged lines in " + run.path.string() +
                       " are left out");
  }
}

void warn_of_pairing(const Entry& entry, const std::vector<TriedDocuments>& tried, std::vector<std::string>& warnings) {
  std::size_t most = 0, fewest_compared = tried[0].scored.size();
  for (std::size_t i = 0; i < tried.size(); ++i) {
    const auto n_with_text =
        std::count_if(tried[i].scored.begin(), tried[i].scored.end(), [](const auto* r) { return r->n_bytes > 0; });
    most = std::max(most, static_cast<std::size_t>(n_with_text));
    fewest_compared = std::min(fewest_compared, entry.pairing.documents(i).size());
    if (tried[i].n_failed > 0)
      warnings.push_back(model_name(*entry.runs[i]) + ": " +
                         counted(static_cast<std::int64_t>(tried[i].n_failed), "document") + " failed");
  }
  if (fewest_compared < most) {
    warnings.push_back("compared on the " + counted(static_cast<std::int64_t>(fewest_compared), "document") +
                       " that all models scored, of up to " + std::to_string(most) +
                       " that one did; compressors are on all");
  }
  if (entry.pairing.groups.size() > 1) {
    warnings.push_back("the models cut the text in " + std::to_string(entry.pairing.groups.size()) +
                       " different ways: differences between these are not paired, their intervals are wide");
  }
}

// Of one entry: what of the text the models scored, and under which settings.
void warn_of_settings(const Entry& entry, std::vector<std::string>& warnings) {
  std::map<std::string, std::vector<std::string>> models;  // by how they were scored
  std::int64_t n_scored = 0, n_tokens = 0;
  for (const Run* run : entry.runs) {
    const Json identity = run->manifest.value("identity", Json::object());
    const Json convention = identity.value("convention", Json::object());
    models["window " + convention.value("window", Json()).dump() + ", stride " +
           convention.value("stride", Json()).dump()]
        .push_back(model_name(*run));
    n_scored += run->summary.value("n_scored", std::int64_t{0});
    n_tokens += run->summary.value("n_tokens", std::int64_t{0});
  }
  if (models.size() > 1) {
    std::string all;
    for (const auto& [how, names] : models)
      all += (all.empty() ? "" : "; ") + how + ": " + names[0] +
             (names.size() > 1 ? " and " + std::to_string(names.size() - 1) + " more" : "");
    warnings.push_back("scored under different settings, which alone change bits: " + all);
  }
  if (leaves_much_unscored(n_scored, n_tokens)) {
    warnings.push_back("only " + std::to_string(n_scored) + " of " + std::to_string(n_tokens) +
                       " tokens are scored, but all bytes count: bits/byte say who is better, not what the text needs; "
                       "compressors, which store all of it, are left out");
  }
}

std::map<std::string, Baseline> baselines_of(const Entry& entry, const RankRequest& request) {
  std::map<std::string, Baseline> baselines;
  if (!request.baselines) return baselines;
  const Sums sums = sums_of(entry.pairing.documents(0));
  for (const Run* run : entry.runs) {
    if (leaves_much_unscored(run->summary.value("n_scored", std::int64_t{0}),
                             run->summary.value("n_tokens", std::int64_t{0})))
      continue;
    const auto all = run->summary.find("baselines");
    if (all == run->summary.end() || !all->is_object()) continue;
    for (const auto& [name, value] : all->items()) {
      const bool by_document = name.ends_with("/doc");
      if ((by_document && !request.document_baselines) || !value.is_object()) continue;
      const Json bytes = value.value("bytes", Json()), bits_per_byte = value.value("bits_per_byte", Json());
      if (!bytes.is_number() || !bits_per_byte.is_number() || bits_per_byte.get<double>() <= 0.0) continue;
      const double bits = 8.0 * bytes.get<double>(), n_bytes = bits / bits_per_byte.get<double>();
      baselines.emplace(name, Baseline{bits, n_bytes, n_bytes * sums.n_chars / sums.n_bytes});
    }
  }
  return baselines;
}

// The row of a baseline goes after the last row that is at least as good.
void place_baseline(RankReportTable& table, const std::string& name, const std::vector<Baseline>& strata, Metric metric,
                    Pooling pooling) {
  const std::optional<double> value = pooled_metric(strata, metric, pooling);
  if (!value) return;
  RankReportRow row;
  row.name = name;
  row.is_baseline = true;
  row.ranked.value = *value;
  set_metrics(row, strata, pooling);
  const auto best = std::find_if(table.rows.begin(), table.rows.end(), [](const auto& r) { return !r.is_baseline; });
  if (best != table.rows.end()) row.ranked.difference = *value - best->ranked.value;
  const auto worse = std::find_if(table.rows.begin(), table.rows.end(), [&](const RankReportRow& r) {
    return higher_is_better(metric) ? r.ranked.value < *value : r.ranked.value > *value;
  });
  table.rows.insert(worse, row);
}

RankOptions options_of(const RankRequest& request, Pooling pooling) {
  return {request.metric, pooling, request.level, request.method, request.n_threads};
}

std::vector<std::size_t> first_n(std::size_t n) {
  std::vector<std::size_t> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = i;
  return all;
}

Entry make_entry(const std::string& corpus, const std::string& convention, const std::vector<const Run*>& runs,
                 Metric metric) {
  Entry entry;
  entry.corpus = entry.table.corpus = corpus;
  entry.table.convention = convention;
  std::vector<TriedDocuments> tried;
  for (const Run* run : runs) {
    TriedDocuments documents = tried_documents(*run);
    const std::string reason = why_unranked(*run, documents);
    if (!reason.empty()) entry.table.warnings.push_back(model_name(*run) + ": " + reason);
    if (reason.empty()) entry.runs.push_back(run);
    warn_of_run(*run, documents, entry.table.warnings);
    if (reason.empty()) tried.push_back(std::move(documents));
  }
  if (entry.runs.empty()) return entry;
  entry.pairing = pair_runs(entry.runs, metric);
  warn_of_pairing(entry, tried, entry.table.warnings);
  warn_of_settings(entry, entry.table.warnings);

  const PairedGroup& group = entry.pairing.groups[0];
  entry.table.unit = group.blocks ? "block" : "document";
  entry.table.n_documents = static_cast<std::int64_t>(group.documents[0].size());
  entry.table.n_units = static_cast<std::int64_t>(group.units.weight.size());
  entry.table.n_bytes = static_cast<std::int64_t>(sums_of(group.documents[0]).n_bytes);
  if (group.units.weight.size() < kFewestUnits) {
    entry.table.warnings.push_back(counted(entry.table.n_units, group.blocks ? "block" : "document") +
                                   (group.blocks ? " of text" : "") + " only: too few for intervals");
  } else if (group.blocks) {
    entry.table.warnings.push_back("fewer than 10 documents: intervals come from " +
                                   std::to_string(entry.table.n_units) +
                                   " blocks of text, and say nothing about other documents");
  }
  return entry;
}

void rank_entry(Entry& entry, const RankRequest& request) {
  if (entry.runs.empty()) return;
  entry.resamples = resample_groups(entry.pairing, entry.corpus, request.n_resamples, request.seed, request.n_threads);
  const Strata strata{columns_of(entry.pairing, entry.resamples, first_n(entry.runs.size()))};
  for (const RankedModel& ranked : rank_models(strata, options_of(request, Pooling::kMicro))) {
    const Run& run = *entry.runs[ranked.model];
    const TriedDocuments tried = tried_documents(run);
    RankReportRow row;
    row.name = model_name(run);
    row.ranked = ranked;
    set_metrics(row, std::vector<Sums>{sums_of(entry.pairing.documents(ranked.model))}, Pooling::kMicro);
    row.n_scored = static_cast<std::int64_t>(tried.scored.size());
    row.n_failed = static_cast<std::int64_t>(tried.n_failed);
    entry.table.rows.push_back(row);
  }
  entry.baselines = baselines_of(entry, request);
  for (const auto& [name, baseline] : entry.baselines) {
    place_baseline(entry.table, name, {baseline}, request.metric, Pooling::kMicro);
  }
}

// Where each model's run is in each corpus; only those that are in all.
std::map<std::string, std::vector<std::size_t>> models_in_all(const std::vector<const Entry*>& entries,
                                                              std::set<std::string>& left_out) {
  std::map<std::string, std::vector<std::size_t>> places;
  for (const Entry* entry : entries) {
    for (std::size_t i = 0; i < entry->runs.size(); ++i) places[model_name(*entry->runs[i])].push_back(i);
  }
  for (const auto& [name, found] : places) {
    if (found.size() < entries.size()) left_out.insert(name);
  }
  for (const std::string& name : left_out) places.erase(name);
  return places;
}

void add_overall_baselines(RankReportTable& table, const std::vector<const Entry*>& entries, Metric metric,
                           Pooling pooling) {
  for (const auto& [name, first] : entries[0]->baselines) {
    std::vector<Baseline> strata;
    for (const Entry* entry : entries) {
      const auto found = entry->baselines.find(name);
      if (found != entry->baselines.end()) strata.push_back(found->second);
    }
    if (strata.size() == entries.size()) place_baseline(table, name, strata, metric, pooling);
  }
}

RankReportTable rank_overall(const std::vector<const Entry*>& entries, Pooling pooling, const RankRequest& request) {
  RankReportTable table;
  table.convention = entries[0]->table.convention;
  table.pooling = pooling;
  std::set<std::string> left_out;
  const auto models = models_in_all(entries, left_out);
  for (const std::string& name : left_out)
    table.warnings.push_back(name + ": left out, it is not ranked on every corpus");
  Strata strata;
  for (std::size_t c = 0; c < entries.size(); ++c) {
    table.pooled.push_back(entries[c]->corpus);
    table.n_documents += entries[c]->table.n_documents;
    table.n_units += entries[c]->table.n_units;
    table.n_bytes += entries[c]->table.n_bytes;
    if (entries[c]->table.unit == "block") table.unit = "block";
    std::vector<std::size_t> runs;
    for (const auto& [name, places] : models) runs.push_back(places[c]);
    strata.push_back(columns_of(entries[c]->pairing, entries[c]->resamples, runs));
  }
  for (const RankedModel& ranked : rank_models(strata, options_of(request, pooling))) {
    const auto model = std::next(models.begin(), static_cast<std::ptrdiff_t>(ranked.model));
    RankReportRow row;
    row.name = model->first;
    row.ranked = ranked;
    std::vector<Sums> sums;
    for (std::size_t c = 0; c < entries.size(); ++c)
      sums.push_back(sums_of(entries[c]->pairing.documents(model->second[c])));
    set_metrics(row, sums, pooling);
    table.rows.push_back(row);
  }
  add_overall_baselines(table, entries, request.metric, pooling);
  return table;
}

std::vector<const Run*> selected(const std::vector<Run>& runs, const std::vector<std::string>& corpora) {
  std::vector<const Run*> chosen;
  std::set<std::string> names;
  for (const Run& run : runs) {
    const std::string corpus = corpus_name(run);
    names.insert(corpus);
    if (corpora.empty() || std::find(corpora.begin(), corpora.end(), corpus) != corpora.end()) chosen.push_back(&run);
  }
  for (const std::string& corpus : corpora) {
    if (names.count(corpus) > 0) continue;
    std::string known;
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    throw Error(ErrorKind::kData, "no run is on corpus " + corpus, known.empty() ? "" : "the runs are on " + known);
  }
  if (chosen.empty())
    throw Error(ErrorKind::kData, "there is no run to rank", "give the folder that `lmbits eval -o` wrote");
  return chosen;
}

}  // namespace

RankReport rank_runs(const std::vector<Run>& runs, const RankRequest& request) {
  const std::vector<const Run*> chosen = selected(runs, request.corpora);
  check_names(chosen);
  std::map<std::pair<std::string, std::string>, std::vector<const Run*>> by_convention;  // (convention, corpus)
  for (const Run* run : chosen) by_convention[{convention_name(*run), corpus_name(*run)}].push_back(run);

  RankReport report{request, {}, {}, {}};
  std::vector<Entry> entries;
  std::int64_t n_resamples = default_resamples(1, 1);
  for (auto& [key, members] : by_convention) {
    std::sort(members.begin(), members.end(),
              [](const Run* a, const Run* b) { return model_name(*a) < model_name(*b); });
    entries.push_back(make_entry(key.second, key.first, members, request.metric));
    n_resamples = std::min(n_resamples,
                           default_resamples(members.size(), static_cast<std::size_t>(entries.back().table.n_units)));
  }
  if (request.n_resamples == 0) report.request.n_resamples = n_resamples;
  for (Entry& entry : entries) rank_entry(entry, report.request);

  std::map<std::string, std::vector<const Entry*>> conventions;
  for (const Entry& entry : entries) {
    report.tables.push_back(entry.table);
    if (!entry.runs.empty()) conventions[entry.table.convention].push_back(&entry);
  }
  for (const auto& [name, members] : conventions) {
    if (members.size() < 2) continue;
    for (const Pooling pooling : {Pooling::kMicro, Pooling::kMacro}) {
      report.overall.push_back(rank_overall(members, pooling, report.request));
    }
  }
  return report;
}

}  // namespace lmbits
