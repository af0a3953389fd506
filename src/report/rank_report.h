// `lmbits rank`: ranked runs as text, markdown, CSV and JSON.
#pragma once
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/rank_runs.h"
#include "src/report/table.h"
#include "src/report/wording.h"

namespace lmbits {

std::string to_text(const RankReport& report, const TextStyle& style);
std::string to_markdown(const RankReport& report);
std::string to_csv(const RankReport& report);  // all tables in one, `pooling` tells overall rows apart
Json to_json(const RankReport& report);

// The parts, for other pages: every table of the report, those of the corpora first; one as cells; its heading; and what
// the signs and intervals mean.
std::vector<const RankReportTable*> all_tables(const RankReport& report);
Table table_of(const RankReportTable& from, const RankRequest& request);
std::string heading(const RankReportTable& table);
std::string legend(const RankReport& report);

}  // namespace lmbits
