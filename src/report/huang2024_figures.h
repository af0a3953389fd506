// The overview of Huang et al. 2024 (arXiv:2404.09937v2), drawn anew from the paper's tables.
#pragma once
#include <vector>

#include "src/report/run_figures.h"

namespace lmbits {

// Overall large, knowledge, coding and maths small, and each by itself with residuals. As in the paper the line of maths
// is fitted without Qwen's models, which are drawn hollow. `level`: of the bands.
std::vector<Figure> huang2024_figures(double level);

}  // namespace lmbits
