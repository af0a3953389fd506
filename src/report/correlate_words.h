// What a correlation's numbers say, in sentences: shared by the terminal, markdown and the page.
#pragma once
#include <optional>
#include <string>

#include "src/report/correlate_report.h"

namespace lmbits {

std::string heading(const CorrelateReport& report);
// A warning that all panels of a report share, or nearly: said of one of them, it is said of all.
bool is_common(const std::string& warning);
std::string corpora_text(const Panel& panel);  // what x is the mean of
std::string tests_line(const Association& a, double level);
std::string influence_line(const PanelResult& result);    // which model moves r most, and which the line
std::string matrix_words(const CorrelateReport& report);  // empty under two corpora
std::string gzip_words(const CorrelateReport& report);    // empty where there is nothing to say

}  // namespace lmbits
