// Pictures of ranked runs: bars beside the compressors, learning curves.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "src/report/rank_runs.h"
#include "src/report/svg.h"
#include "src/store/training.h"

namespace lmbits {

struct Figure {
  std::string name;  // of a file: letters, digits, "-", "_" and "."
  std::string title, caption;
  Drawing drawing;
};

// "bars, prose" -> "bars_prose"; different names may become equal.
std::string file_stem(const std::string& name);

// The bars of one table: its `most` best models and all compressors.
Figure bars_figure(const RankReportTable& table, const RankRequest& request, std::size_t most = 40);

// The metric of one table over training tokens (over steps where the tokens are not known), a line a training run, the
// compressors as level lines. nullopt where fewer than two training runs' checkpoints, or two checkpoints of one, are there.
std::optional<Figure> curves_figure(const RankReportTable& table, const RankRequest& request,
                                    const std::map<std::string, Training>& training);

// All of a report: of each table with rows; overall by macro only.
std::vector<Figure> run_figures(const RankReport& report, const std::map<std::string, Training>& training);

}  // namespace lmbits
