// Numbers that carry their derivatives by M variables (forward-mode automatic differentiation).
#pragma once
#include <array>
#include <cmath>
#include <cstddef>

namespace lmbits {

template <std::size_t M>
struct Dual {
  double value = 0.0;
  std::array<double, M> slope{};

  Dual() = default;
  Dual(double v) : value(v) {}  // NOLINT: a constant is a number like any other
  static Dual variable(double v, std::size_t index) {
    Dual x(v);
    x.slope[index] = 1.0;
    return x;
  }
  // f(x) from f's value and slope at x.
  Dual chain(double f, double df) const {
    Dual y(f);
    for (std::size_t i = 0; i < M; ++i) y.slope[i] = df * slope[i];
    return y;
  }
};

// a f + b g, the value apart: every rule of two arguments.
template <std::size_t M>
Dual<M> combine(double value, double a, const Dual<M>& f, double b, const Dual<M>& g) {
  Dual<M> y(value);
  for (std::size_t i = 0; i < M; ++i) y.slope[i] = a * f.slope[i] + b * g.slope[i];
  return y;
}

template <std::size_t M>
Dual<M> operator+(const Dual<M>& f, const Dual<M>& g) {
  return combine(f.value + g.value, 1.0, f, 1.0, g);
}
template <std::size_t M>
Dual<M> operator-(const Dual<M>& f, const Dual<M>& g) {
  return combine(f.value - g.value, 1.0, f, -1.0, g);
}
template <std::size_t M>
Dual<M> operator*(const Dual<M>& f, const Dual<M>& g) {
  return combine(f.value * g.value, g.value, f, f.value, g);
}
template <std::size_t M>
Dual<M> operator/(const Dual<M>& f, const Dual<M>& g) {
  return combine(f.value / g.value, 1.0 / g.value, f, -f.value / (g.value * g.value), g);
}
template <std::size_t M>
Dual<M> exp(const Dual<M>& x) {
  return x.chain(std::exp(x.value), std::exp(x.value));
}
template <std::size_t M>
Dual<M> log(const Dual<M>& x) {
  return x.chain(std::log(x.value), 1.0 / x.value);
}
template <std::size_t M>
Dual<M> expm1(const Dual<M>& x) {
  return x.chain(std::expm1(x.value), std::exp(x.value));
}
template <std::size_t M>
Dual<M> log1p(const Dual<M>& x) {
  return x.chain(std::log1p(x.value), 1.0 / (1.0 + x.value));
}

inline double value_of(double x) { return x; }
template <std::size_t M>
double value_of(const Dual<M>& x) {
  return x.value;
}

}  // namespace lmbits
