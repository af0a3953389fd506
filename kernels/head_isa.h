// The part of head_nll that differs by instruction set.
#pragma once
#include <cstdint>

namespace lmbits::kernels {

// What is known of a row at its end. e^(z - reference) was summed; no logit is above reference + kHeadSlack.
struct HeadRow {
  double sum;
  float reference;
  float max;     // -inf where all are NaN or -inf
  float target;  // NaN where the target is no column
};

inline constexpr float kHeadSlack = 8.0F;  // in nats: e^8 more in a sum, and as much coarser a rounding, hurt nothing

}  // namespace lmbits::kernels
