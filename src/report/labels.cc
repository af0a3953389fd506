#include "src/report/labels.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace lmbits {
namespace {

constexpr int kDirections = 16, kPasses = 3;
constexpr double kGaps[] = {2.0, 7.0, 13.0, 20.0, 29.0, 40.0, 54.0, 72.0, 96.0, 124.0};  // px between mark and label
constexpr double kBeside = 5.0;  // up to this gap no leader is needed
constexpr double kMargin = 1.0;  // px around a label
constexpr double kNear = 70.0;   // px: points within it crowd each other
constexpr double kStrokeCost = 5.0, kLeaderCost = 8.0, kSideCost = 4.0, kStrangerCost = 20.0;
constexpr std::size_t kMany = 60;  // labels: then the arranging would take seconds
constexpr double kPoorCost = 28.0, kUnplacedCost = 300.0;

using Segment = std::pair<Xy, Xy>;

double distance(Xy a, Xy b) { return std::hypot(a.x - b.x, a.y - b.y); }

Box mark_of(const LabelRequest& r) {
  return {r.point.x - r.radius, r.point.y - r.radius, r.point.x + r.radius, r.point.y + r.radius};
}

Xy nearest_in(const Box& box, Xy p) {
  return {std::clamp(p.x, box.left, box.right), std::clamp(p.y, box.top, box.bottom)};
}

// The label in direction `turn` (0: right, then counter-clockwise) of the mark, `gap` px off it.
PlacedLabel candidate(const LabelRequest& r, int turn, double gap) {
  const double angle = 2.0 * std::numbers::pi * turn / kDirections;
  const Xy toward{std::cos(angle), -std::sin(angle)};
  const Xy centre{r.point.x + toward.x * (r.radius + gap + r.width / 2),
                  r.point.y + toward.y * (r.radius + gap + r.height / 2)};
  PlacedLabel label{{centre.x - r.width / 2, centre.y - r.height / 2, centre.x + r.width / 2, centre.y + r.height / 2},
                    std::nullopt};
  const Xy end = nearest_in(label.box, r.point);
  const double length = distance(r.point, end);
  if (length > r.radius + kBeside) {
    const double share = (r.radius + 0.5) / length;
    const Xy start{r.point.x + (end.x - r.point.x) * share, r.point.y + (end.y - r.point.y) * share};
    label.leader = Segment{start, end};
  }
  return label;
}

class Placement {
 public:
  Placement(const Box& area, const std::vector<LabelRequest>& requests, const LabelObstacles& obstacles)
      : area_(area),
        requests_(requests),
        obstacles_(obstacles),
        placed_(requests.size()),
        costs_(requests.size(), kUnplacedCost) {
    for (const LabelRequest& r : requests) marks_.push_back(mark_of(r));
  }

  void place(std::size_t i) {
    placed_[i].reset();
    costs_[i] = kUnplacedCost;
    for (const double gap : kGaps) {
      if (gap > costs_[i]) break;  // the gap alone costs more
      for (int turn = 0; turn < kDirections; ++turn) {
        const PlacedLabel label = candidate(requests_[i], turn, gap);
        const double cost = cost_of(i, label, turn, gap);
        if (cost >= costs_[i] || !is_clear(i, label) || !conflicts(label).empty()) continue;
        costs_[i] = cost;
        placed_[i] = label;
      }
    }
  }

  // A label without a place, or with a poor one, takes that of one or two others, where all together are better off then.
  void make_room(std::size_t i) {
    if (costs_[i] <= kPoorCost) return;
    const auto placed = placed_;
    const auto costs = costs_;
    for (const double gap : kGaps) {
      for (int turn = 0; turn < kDirections; ++turn) {
        const PlacedLabel label = candidate(requests_[i], turn, gap);
        const double cost = cost_of(i, label, turn, gap);
        if (cost >= costs_[i] || !is_clear(i, label)) continue;
        std::vector<std::size_t> others = conflicts(label);
        std::erase(others, i);
        if (others.size() > 2) continue;
        double change = cost - costs_[i];
        for (const std::size_t k : others) placed_[k].reset();
        placed_[i] = label;
        costs_[i] = cost;
        for (const std::size_t k : others) {
          place(k);
          change += costs_[k] - costs[k];
        }
        if (change < 0.0) return;
        placed_ = placed;
        costs_ = costs;
      }
    }
  }

  std::vector<std::size_t> most_crowded_first() const {
    std::vector<std::size_t> order(requests_.size()), neighbours(requests_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (const std::size_t i : order) {
      neighbours[i] = static_cast<std::size_t>(std::count_if(requests_.begin(), requests_.end(), [&](const auto& r) {
        return distance(r.point, requests_[i].point) < kNear;
      }));
    }
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return neighbours[a] > neighbours[b]; });
    return order;
  }

  const std::vector<std::optional<PlacedLabel>>& placed() const { return placed_; }

 private:
  // Free of what cannot move.
  bool is_clear(std::size_t i, const PlacedLabel& label) const {
    const Box box = label.box.grown(kMargin);
    if (!area_.contains(box)) return false;
    for (const Box& obstacle : obstacles_.boxes)
      if (box.overlaps(obstacle) || (label.leader && meets(*label.leader, obstacle))) return false;
    for (const Box& mark : marks_) {
      if (box.overlaps(mark)) return false;
      const bool apart = !mark.overlaps(marks_[i]);  // no leader starts clear of a mark over its own
      if (apart && label.leader && meets(*label.leader, mark)) return false;
    }
    return true;
  }

  static bool conflict(const PlacedLabel& a, const PlacedLabel& b) {
    const Box box_a = a.box.grown(kMargin), box_b = b.box.grown(kMargin);
    return box_a.overlaps(b.box) || (a.leader && meets(*a.leader, box_b)) || (b.leader && meets(*b.leader, box_a)) ||
           (a.leader && b.leader && cross(*a.leader, *b.leader));
  }

  std::vector<std::size_t> conflicts(const PlacedLabel& label) const {
    std::vector<std::size_t> found;
    for (std::size_t k = 0; k < placed_.size(); ++k)
      if (placed_[k] && conflict(label, *placed_[k])) found.push_back(k);
    return found;
  }

  // Near is better than far, right and left better than slanting, free of lines better than across one; and a label
  // should not be nearer to another point than to its own.
  double cost_of(std::size_t i, const PlacedLabel& label, int turn, double gap) const {
    double cost = gap + (label.leader ? kLeaderCost : 0.0);
    if (turn == kDirections / 2)
      cost += 1.0;
    else if (turn != 0)
      cost += kSideCost * (turn % (kDirections / 4) == 0 ? 1.0 : 0.6);
    for (const Segment& stroke : obstacles_.strokes) {
      if (meets(stroke, label.box)) cost += kStrokeCost;
    }
    const double own = distance(requests_[i].point, nearest_in(label.box, requests_[i].point));
    for (std::size_t k = 0; k < requests_.size(); ++k) {
      const double other = distance(requests_[k].point, nearest_in(label.box, requests_[k].point));
      if (k != i && other < own + 8.0) cost += kStrangerCost;
    }
    return cost;
  }

  const Box& area_;
  const std::vector<LabelRequest>& requests_;
  const LabelObstacles& obstacles_;
  std::vector<Box> marks_;
  std::vector<std::optional<PlacedLabel>> placed_;
  std::vector<double> costs_;
};

double side(Xy a, Xy b, Xy c) { return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x); }

}  // namespace

bool cross(const Segment& a, const Segment& b) {
  const double b1 = side(a.first, a.second, b.first), b2 = side(a.first, a.second, b.second);
  const double a1 = side(b.first, b.second, a.first), a2 = side(b.first, b.second, a.second);
  return b1 * b2 < 0.0 && a1 * a2 < 0.0;
}

// Liang and Barsky 1984 (doi:10.1145/357332.357333): the part of the segment inside the four half planes.
bool meets(const Segment& segment, const Box& box) {
  const auto [from, to] = segment;
  const double dx = to.x - from.x, dy = to.y - from.y;
  double first = 0.0, last = 1.0;
  const auto keep = [&](double step, double room) {  // step * t <= room
    if (step == 0.0) return room >= 0.0;
    if (step < 0.0)
      first = std::max(first, room / step);
    else
      last = std::min(last, room / step);
    return first <= last;
  };
  return keep(-dx, from.x - box.left) && keep(dx, box.right - from.x) && keep(-dy, from.y - box.top) &&
         keep(dy, box.bottom - from.y);
}

std::vector<std::optional<PlacedLabel>> place_labels(const Box& area, const std::vector<LabelRequest>& requests,
                                                     const LabelObstacles& obstacles) {
  Placement placement(area, requests, obstacles);
  const std::vector<std::size_t> order = placement.most_crowded_first();
  for (int pass = 0; pass < kPasses; ++pass) {
    for (const std::size_t i : order) placement.place(i);
  }
  for (int pass = 0; pass < (requests.size() <= kMany ? kPasses : 1); ++pass) {
    for (const std::size_t i : order) placement.make_room(i);
  }
  return placement.placed();
}

}  // namespace lmbits
