// The one place that converts nats and bits.
#pragma once

namespace lmbits {

inline constexpr double kBitsPerNat = 1.4426950408889634;  // log2(e)
inline constexpr double kNatsPerBit = 0.6931471805599453;  // ln(2)

}  // namespace lmbits
