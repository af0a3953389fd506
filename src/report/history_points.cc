#include "src/report/history_points.h"

#include "src/report/table.h"

namespace lmbits {

std::optional<Interval> interval_of(const HistoryRun& run) {
  if (!run.lo || !run.hi) return std::nullopt;
  return Interval{*run.lo, *run.hi};
}

PlotPoint point_of(const HistoryRun& run, std::size_t place) {
  return {.at = {static_cast<double>(place), *run.bits_per_byte},
          .y = interval_of(run),
          .tooltip = run.model + "\n" + format_fixed(*run.bits_per_byte, 4) + " bits/byte\n" + run.started};
}

}  // namespace lmbits
