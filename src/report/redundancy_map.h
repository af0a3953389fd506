// Which samples explain each other, as a heat map.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "src/report/svg.h"

namespace lmbits {

// An order in which samples that explain each other stand side by side: from the most redundant one on, always the one that
// goes best with the last, saved[i][j] + saved[j][i].
std::vector<std::size_t> neighbourly_order(const std::vector<std::vector<double>>& saved);

// Row i, column j: the share saved[i][j] of what sample j needs alone that is saved behind sample i; nine steps from 0
// to 1, the diagonal left blank. Each cell has a tooltip. Throws std::logic_error unless `saved` is square and names fit.
Drawing draw_redundancy_map(const std::vector<std::string>& names, const std::vector<std::vector<double>>& saved);

// The same with rows and columns in neighbourly_order.
Drawing draw_ordered_redundancy_map(const std::vector<std::string>& names,
                                    const std::vector<std::vector<double>>& saved);

}  // namespace lmbits
