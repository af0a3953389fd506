// Names beside the points of a plot: where each goes so that no two meet.
#pragma once
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "src/report/svg.h"

namespace lmbits {

struct LabelRequest {
  Xy point;
  double radius = 4.0;  // of the point's mark
  double width = 0.0, height = 0.0;
};

struct PlacedLabel {
  Box box;
  std::optional<std::pair<Xy, Xy>> leader;  // from the mark to the box, where that is not beside it
};

struct LabelObstacles {
  std::vector<Box> boxes = {};                  // never covered
  std::vector<std::pair<Xy, Xy>> strokes = {};  // covered only where nothing else is free
};

// A place for each label inside `area`, or nullopt where none is free. What is placed covers no other label, no mark of
// any point and no box of the obstacles; a leader crosses no label, no other leader and no mark but those that overlap
// its own. Greedy, the most crowded point first, then each label again among the others: not the best arrangement, but
// always the same one.
std::vector<std::optional<PlacedLabel>> place_labels(const Box& area, const std::vector<LabelRequest>& requests,
                                                     const LabelObstacles& obstacles);

// Do the segments meet the box, and each other? Touching counts for the first, ends in common do not for the second.
bool meets(const std::pair<Xy, Xy>& segment, const Box& box);
bool cross(const std::pair<Xy, Xy>& a, const std::pair<Xy, Xy>& b);

}  // namespace lmbits
