// The tables of a CorrelateReport: what its renderings have in common.
#pragma once
#include <span>
#include <string>

#include "src/report/correlate_report.h"
#include "src/report/table.h"

namespace lmbits {

struct NamedEstimate {
  const char* key;
  const char* title;
  const Estimate Association::*estimate;
};
std::span<const NamedEstimate> named_estimates();

Table estimates_table(const Association& a, const std::string& family_kind);
Table models_table(const PanelResult& result, const CorrelateReport& report);  // best compression first
Table matrix_table(const CorrelateReport& report);  // r of each area's scores with each corpus
Table gzip_table(const CorrelateReport& report);
Table gzip_documents_table(const CorrelateReport& report);

}  // namespace lmbits
