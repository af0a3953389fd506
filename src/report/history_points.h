// A run of the history as tables and drawings show it.
#pragma once
#include <cstddef>
#include <optional>

#include "src/report/plot.h"
#include "src/stats/bootstrap.h"
#include "src/store/history.h"

namespace lmbits {

// Of bits/byte; nullopt where the run has none.
std::optional<Interval> interval_of(const HistoryRun& run);

// bits/byte, which the run must have, over its place among others: the first is 1.
PlotPoint point_of(const HistoryRun& run, std::size_t place);

}  // namespace lmbits
