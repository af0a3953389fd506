#include "src/report/axis.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "src/core/error.h"
#include "src/report/table.h"

namespace lmbits {
namespace {

constexpr double kAxisMargin = 0.05;  // of the range, on both sides
constexpr double kMostTicks = 1.5;    // times the number asked for
constexpr double kRounding = 1e-9;    // relative: a tick at the very end of the range belongs to it

// 1, 2 or 5 times a power of ten, the nearest from above.
double round_step(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step)));
  const double share = step / power;
  return (share <= 1.0 + kRounding   ? 1.0
          : share <= 2.0 + kRounding ? 2.0
          : share <= 5.0 + kRounding ? 5.0
                                     : 10.0) *
         power;
}

std::string superscript(int exponent) {
  static constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text;
  for (const char c : std::to_string(exponent)) text += c == '-' ? "⁻" : kDigits[c - '0'];
  return text;
}

// As many decimals as a multiple of `unit` needs.
int decimals_for(double unit) { return std::max(0, static_cast<int>(std::ceil(-std::log10(unit) - kRounding))); }

std::string minus_sign(std::string text) {
  if (text.starts_with('-')) text.replace(0, 1, "−");
  return text;
}

std::string grouped(double value, int decimals) {
  std::string text = format_fixed(value, decimals);
  const std::size_t point = std::min(text.find('.'), text.size());
  if (std::abs(value) < 1e4) return minus_sign(text);
  for (std::size_t i = point; i > 3 && text[i - 4] != '-'; i -= 3) text.insert(i - 3, ",");
  return minus_sign(text);
}

std::string power_text(double value) {
  if (value == 0.0) return "0";
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(value)) + kRounding));
  const double mantissa = value / std::pow(10.0, exponent);
  const std::string power = "10" + superscript(exponent);
  if (std::abs(mantissa - 1.0) < 1e-6) return power;
  const bool whole = std::abs(mantissa - std::round(mantissa)) < 1e-6;
  return minus_sign(format_fixed(mantissa, whole ? 0 : 1)) + "·" + power;
}

std::string si_text(double value, double unit) {
  static constexpr std::pair<double, const char*> kPrefixes[] = {{1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}};
  for (const auto& [size, prefix] : kPrefixes)
    if (std::abs(value) >= size * (1 - kRounding)) return grouped(value / size, decimals_for(unit / size)) + prefix;
  return grouped(value, decimals_for(unit));
}

// `unit`: what the tick is a multiple of.
std::string tick_text(double value, double unit, Notation notation, double largest) {
  if (notation == Notation::kSi) return si_text(value, unit);
  if (notation == Notation::kPowers || largest >= 1e5 || largest < 1e-4) return power_text(value);
  return grouped(value, decimals_for(unit));
}

std::vector<Tick> linear_ticks(double lo, double hi, int count, Notation notation) {
  const double step = round_step((hi - lo) / (kMostTicks * std::max(1, count)));
  const double first = std::ceil(lo / step - kRounding);
  std::vector<Tick> all;
  for (double i = first; i * step <= hi + kRounding * step; ++i) {
    const double value = i == 0.0 ? 0.0 : i * step;
    all.push_back({value, tick_text(value, step, notation, std::max(std::abs(lo), std::abs(hi)))});
  }
  return all;
}

std::vector<Tick> log_ticks(double lo, double hi, int count, Notation notation) {
  const double decades = std::log10(hi / lo);
  const int every = std::max(1, static_cast<int>(std::ceil(decades / std::max(1, count))));
  const bool few = decades * 3.0 <= count + 1,
             very_few = decades * 9.0 <= count;  // then 2 and 5, or all, are named too
  std::vector<Tick> all;
  const int last = static_cast<int>(std::ceil(std::log10(hi)));
  for (int exponent = static_cast<int>(std::floor(std::log10(lo))); exponent <= last; ++exponent) {
    const double power = std::pow(10.0, exponent);
    for (int digit = 1; digit <= 9; ++digit) {
      const double value = digit * power;
      if (value < lo * (1 - kRounding) || value > hi * (1 + kRounding)) continue;
      const bool named = digit == 1 ? exponent % every == 0 : very_few || (few && (digit == 2 || digit == 5));
      if (named)
        all.push_back({value, tick_text(value, power, notation, std::max(hi, 1.0 / lo))});
      else if (digit == 1 || every == 1)
        all.push_back({value, ""});
    }
  }
  return all;
}

}  // namespace

std::vector<Tick> ticks(double lo, double hi, Scale scale, int count, Notation notation) {
  LMBITS_CHECK(std::isfinite(lo) && std::isfinite(hi) && lo < hi);
  if (scale == Scale::kLinear) return linear_ticks(lo, hi, count, notation);
  LMBITS_CHECK(lo > 0.0);
  std::vector<Tick> all = log_ticks(lo, hi, count, notation);
  const auto n_named = std::count_if(all.begin(), all.end(), [](const Tick& t) { return !t.label.empty(); });
  return n_named >= 2 ? all : linear_ticks(lo, hi, count, notation);  // less than a decade
}

AxisScale::AxisScale(double lo, double hi, Scale scale) : lo_(lo), hi_(hi), scale_(scale) {
  LMBITS_CHECK(std::isfinite(lo) && std::isfinite(hi) && lo < hi);
  LMBITS_CHECK(scale == Scale::kLinear || lo > 0.0);
}

bool AxisScale::defined(double value) const {
  return std::isfinite(value) && (scale_ == Scale::kLinear || value > 0.0);
}

double AxisScale::pixel(double value) const {
  const double share =
      scale_ == Scale::kLinear ? (value - lo_) / (hi_ - lo_) : std::log(value / lo_) / std::log(hi_ / lo_);
  return from_ + share * (to_ - from_);
}

void AxisRange::add(double value) {
  if (!std::isfinite(value) || (scale_ == Scale::kLog && value <= 0.0)) return;
  lo_ = std::min(lo_.value_or(value), value);
  hi_ = std::max(hi_.value_or(value), value);
}

AxisScale AxisRange::finished(const Axis& axis) const {
  LMBITS_CHECK(lo_ || (axis.lo && axis.hi));
  double lo = lo_.value_or(0.0), hi = hi_.value_or(0.0);
  if (lo_ && scale_ == Scale::kLog) {
    const double factor = lo < hi ? std::pow(hi / lo, kAxisMargin) : 2.0;
    lo /= factor, hi *= factor;
  } else if (lo_) {
    const double margin = lo < hi ? kAxisMargin * (hi - lo) : std::max(0.5 * std::abs(lo), 0.5);
    lo -= margin, hi += margin;
  }
  return AxisScale(axis.lo.value_or(lo), axis.hi.value_or(hi), scale_);
}

// Labels that touch form a block, which lies where its members are wrong by equal amounts on both sides; blocks that
// touch merge (the pool-adjacent-violators algorithm for the least sum of squared shifts).
std::vector<double> spread(const std::vector<double>& wanted, const std::vector<double>& sizes, double lo, double hi) {
  LMBITS_CHECK(wanted.size() == sizes.size());
  struct Block {
    std::size_t n;
    double size, start_sum;  // sum over members of where the block would start for each to lie as wanted
    double start(double low, double high) const {
      return std::max(low, std::min(start_sum / static_cast<double>(n), high - size));
    }
  };
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    blocks.push_back({1, sizes[i], wanted[i] - sizes[i] / 2});
    while (blocks.size() > 1) {
      const Block& b = blocks.back();
      Block& a = blocks[blocks.size() - 2];
      if (a.start(lo, hi) + a.size <= b.start(lo, hi)) break;
      a.start_sum += b.start_sum - static_cast<double>(b.n) * a.size;
      a.size += b.size;
      a.n += b.n;
      blocks.pop_back();
    }
  }
  std::vector<double> centres;
  for (const Block& block : blocks) {
    double at = block.start(lo, hi);
    for (std::size_t k = 0; k < block.n; ++k) {
      const double size = sizes[centres.size()];
      centres.push_back(at + size / 2);
      at += size;
    }
  }
  return centres;
}

}  // namespace lmbits
