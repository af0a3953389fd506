#include "src/core/suggest.h"

#include <algorithm>
#include <optional>

namespace lmbits {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({replace, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::string nearest_name(std::string_view given, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  std::size_t best_distance = 0;
  for (const std::string& name : known) {
    const bool continues = given.size() >= 2 && name.starts_with(given);
    const std::size_t distance = continues ? 1 : edit_distance(given, name);
    const std::size_t allowed = std::max<std::size_t>(1, std::max(given.size(), name.size()) / 3);
    if (distance > allowed || (best != nullptr && distance >= best_distance)) continue;
    best = &name;
    best_distance = distance;
  }
  return best == nullptr ? std::string() : *best;
}

std::string suggestion(std::string_view given, const std::vector<std::string>& known) {
  const std::string near = nearest_name(given, known);
  if (!near.empty()) return "did you mean " + near + "?";
  std::string text = "known:";
  for (const std::string& name : known) text += (text.back() == ':' ? " " : ", ") + name;
  return text;
}

}  // namespace lmbits
