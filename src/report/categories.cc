#include "src/report/categories.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "src/core/json.h"
#include "src/report/pairing.h"

namespace lmbits {
namespace {

// What the compressors make of these documents one by one; a codec that does not have all of them is left out.
Json document_baselines(const std::vector<DocumentRecord>& records) {
  std::map<std::string, std::pair<double, std::size_t>> sums;  // codec: bytes, documents
  double n_bytes = 0.0;
  std::size_t n_documents = 0;
  for (const DocumentRecord& record : records) {
    if (!record.error.empty()) continue;
    n_bytes += static_cast<double>(record.n_bytes);
    ++n_documents;
    for (const auto& [codec, bytes] : record.baselines) {
      sums[codec].first += static_cast<double>(bytes);
      ++sums[codec].second;
    }
  }
  Json baselines = Json::object();
  for (const auto& [codec, sum] : sums) {
    if (sum.second == n_documents && n_bytes > 0.0)
      baselines[codec + "/doc"] = {{"bytes", sum.first}, {"bits_per_byte", 8.0 * sum.first / n_bytes}};
  }
  return baselines;
}

// The run cut into one for each category.
std::vector<Run> categories_of(const Run& run) {
  std::vector<Run> parts;
  for (auto& [category, members] : by_category(run.records)) {
    Run part{run.path, run.manifest, members, 0, run.summary};
    part.manifest["corpus"]["name"] = corpus_name(run) + "/" + (category.empty() ? "(no category)" : category);
    if (!part.summary.is_null()) part.summary["baselines"] = document_baselines(part.records);
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

std::optional<RankReport> rank_categories(const std::vector<Run>& runs, RankRequest request) {
  const std::vector<std::string> wanted = std::exchange(request.corpora, {});
  request.document_baselines = true;
  std::map<std::pair<std::string, std::string>, std::vector<Run>> parts;  // (convention, corpus)
  for (const Run& run : runs) {
    const std::string corpus = corpus_name(run);
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), corpus) == wanted.end()) continue;
    for (Run& part : categories_of(run)) parts[{convention_name(run), corpus}].push_back(std::move(part));
  }
  std::optional<RankReport> report;
  for (const auto& [key, members] : parts) {
    RankReport one = rank_runs(members, request);
    if (!report) report = RankReport{one.request, {}, {}, {}};
    report->request.n_resamples = std::min(report->request.n_resamples, one.request.n_resamples);
    report->tables.insert(report->tables.end(), one.tables.begin(), one.tables.end());
    for (RankReportTable& table : one.overall) {
      table.corpus = key.second;
      report->overall.push_back(std::move(table));
    }
  }
  return report;
}

}  // namespace lmbits
