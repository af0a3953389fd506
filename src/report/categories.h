// Runs by the categories of their documents (category_of): what `rank --categories` and the report's page show.
#pragma once
#include <optional>
#include <vector>

#include "src/report/rank_runs.h"

namespace lmbits {

// A table for each category of each corpus, named CORPUS/CATEGORY, then over a corpus' categories micro (all bits over all
// bytes) and macro (the mean of the categories, each counting alike). Compressors are those of single documents. nullopt
// where no corpus has categories (by_category). Throws Error as rank_runs does.
std::optional<RankReport> rank_categories(const std::vector<Run>& runs, RankRequest request);

}  // namespace lmbits
