// A scatter in a field of characters, for the terminal.
#pragma once
#include <string>

#include "src/report/correlate_report.h"

namespace lmbits {

// The points and the least squares line. Empty where there are fewer than three points, no line, or fewer than 50 columns.
std::string text_scatter(const PanelResult& result, CompressionMetric by, std::size_t terminal_width);

}  // namespace lmbits
