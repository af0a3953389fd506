#include "src/scaling/law.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>

#include "src/core/error.h"
#include "src/core/suggest.h"
#include "src/scaling/dual.h"
#include "src/stats/linear.h"

namespace lmbits {
namespace {

constexpr double kNegligible = -40.0;  // log of a term that is as good as none

std::size_t index_of(Variable variable) { return static_cast<std::size_t>(variable); }

// `n` values from lo to hi at equal ratios.
std::vector<double> geometric(double lo, double hi, int n) {
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(lo * std::pow(hi / lo, static_cast<double>(i) / (n - 1)));
  return values;
}

// "16 x 16 ", a factor for each exponent that is neither given nor tied; "given " where there is none.
std::string grid_text(const Constraints& constraints, const std::vector<std::size_t>& exponents, std::size_t n) {
  std::string text;
  for (const std::size_t j : exponents) {
    if (!constraints[j].fixed && !constraints[j].tied_to) text += (text.empty() ? "" : "x ") + std::to_string(n) + " ";
  }
  return text.empty() ? "given " : text;
}

double log_or_negligible(double x) { return x > 0.0 ? std::max(std::log(x), kNegligible) : kNegligible; }

// ---- E + sum_k A_k / x_k^alpha_k ----
// Parameters: log E, then log A_k, then alpha_k.
class PowerSum final : public Law {
 public:
  struct Term {
    Variable variable;
    std::string coefficient, exponent;
  };
  PowerSum(std::string name, std::string equation, std::string offset, std::vector<Term> terms, bool has_offset)
      : name_(std::move(name)),
        equation_(std::move(equation)),
        offset_(std::move(offset)),
        terms_(std::move(terms)),
        has_offset_(has_offset) {}

  std::string name() const override { return name_; }
  std::string equation() const override { return equation_; }
  std::vector<LawParameter> parameters() const override {
    std::vector<LawParameter> all{{offset_, true, kNegligible, 40.0}};
    for (const Term& term : terms_) all.push_back({term.coefficient, true, kNegligible, 80.0});
    for (const Term& term : terms_) all.push_back({term.exponent, false, 0.0, 4.0});
    return all;
  }
  std::vector<Variable> variables() const override {
    std::vector<Variable> all;
    for (const Term& term : terms_) all.push_back(term.variable);
    return all;
  }
  std::vector<Dependence> dependences() const override {
    std::vector<Dependence> all;
    for (std::size_t i = 0; i < terms_.size(); ++i) all.push_back({terms_[i].variable, 1 + i, 1 + terms_.size() + i});
    return all;
  }
  Constraints default_constraints() const override {
    Constraints constraints(1 + 2 * terms_.size());
    if (!has_offset_) constraints[0].fixed = kNegligible;
    return constraints;
  }

  double log_loss(const Parameters& p, const Observation& x) const override {
    const std::size_t k = terms_.size();
    std::array<double, 3> u{p[0], 0.0, 0.0};
    double top = u[0], sum = 0.0;
    for (std::size_t i = 0; i < k; ++i) {
      u[1 + i] = p[1 + i] - p[1 + k + i] * x[index_of(terms_[i].variable)];
      top = std::max(top, u[1 + i]);
    }
    for (std::size_t i = 0; i <= k; ++i) sum += std::exp(u[i] - top);
    return top + std::log(sum);
  }

  void evaluate(const Parameters& p, const Observation& x, LogLoss& result) const override {
    const std::size_t k = terms_.size(), m = 1 + 2 * k;
    std::array<double, 3> u{p[0], 0.0, 0.0};
    double top = u[0], sum = 0.0;
    for (std::size_t i = 0; i < k; ++i) {
      u[1 + i] = p[1 + i] - p[1 + k + i] * x[index_of(terms_[i].variable)];
      top = std::max(top, u[1 + i]);
    }
    for (std::size_t i = 0; i <= k; ++i) sum += u[i] = std::exp(u[i] - top);
    result.value = top + std::log(sum);
    Parameters& g = result.gradient;
    for (std::size_t i = 0; i <= k; ++i) g[i] = u[i] / sum;
    for (std::size_t i = 0; i < k; ++i) g[1 + k + i] = -g[1 + i] * x[index_of(terms_[i].variable)];
    // Second derivatives of log sum exp of linear forms: the covariance of their slopes under the terms' shares.
    for (std::size_t j = 0; j < m; ++j) {
      for (std::size_t l = 0; l <= j; ++l) result.curvature[j][l] = -g[j] * g[l];
    }
    for (std::size_t i = 0; i <= k; ++i) result.curvature[i][i] += g[i];
    for (std::size_t i = 0; i < k; ++i) {
      result.curvature[1 + k + i][1 + i] += g[1 + k + i];
      result.curvature[1 + k + i][1 + k + i] -= g[1 + k + i] * x[index_of(terms_[i].variable)];
    }
  }

  std::vector<Parameters> starts(std::span<const Observation> x, std::span<const Target> targets,
                                 const Constraints& constraints) const override {
    const Design design = design_of(x, targets, constraints);
    const bool has_two = terms_.size() > 1;
    const bool is_tied = has_two && constraints[2 + terms_.size()].tied_to.has_value();
    std::vector<Parameters> all;
    for (std::size_t first = 0; first < design.exponents[0].size(); ++first) {
      for (std::size_t second = 0; second < (has_two ? design.exponents[1].size() : 1); ++second) {
        if (is_tied && design.exponents[1][second] != design.exponents[0][first]) continue;
        all.push_back(solve(design, constraints, {first, second}));
      }
    }
    return all;
  }
  std::string start_grid(const Constraints& constraints) const override {
    std::vector<std::size_t> exponents;
    for (std::size_t i = 0; i < terms_.size(); ++i) exponents.push_back(1 + terms_.size() + i);
    return grid_text(constraints, exponents, exponent_grid().size()) +
           "exponents from 0.03 to 2, coefficients by non-negative least squares";
  }
  std::vector<Parameters> published_starts() const override {
    if (name_ != "chinchilla") return {};
    std::vector<Parameters> all;
    for (double a = 0.0; a <= 25.0; a += 5.0)
      for (double b = 0.0; b <= 25.0; b += 5.0)
        for (double e = -1.0; e <= 1.0; e += 0.5)
          for (double alpha = 0.0; alpha <= 2.0; alpha += 0.5)
            for (double beta = 0.0; beta <= 2.0; beta += 0.5) all.push_back({e, a, b, alpha, beta});
    return all;
  }

 private:
  std::vector<double> exponent_grid() const { return geometric(0.03, 2.0, terms_.size() > 1 ? 16 : 40); }

  // What is the same for all starts. Rows are divided by the loss, so that residuals are relative ones, and multiplied by
  // the root of the weight.
  struct Design {
    std::vector<double> offset, target;          // the column of E, and what all columns together shall be
    std::vector<double> centre;                  // by term: the mean of log x, to which its powers are relative
    std::vector<std::vector<double>> exponents;  // by term
    std::vector<Columns> powers;                 // by term, a column an exponent
    double a_loss = 1.0;
  };

  Design design_of(std::span<const Observation> x, std::span<const Target> targets,
                   const Constraints& constraints) const {
    Design design;
    for (const Target& target : targets) {
      design.target.push_back(std::sqrt(target.weight));
      design.offset.push_back(design.target.back() * std::exp(-target.log_loss));
    }
    design.a_loss = std::exp(targets[0].log_loss);
    for (std::size_t i = 0; i < terms_.size(); ++i) {
      const std::size_t variable = index_of(terms_[i].variable);
      double centre = 0.0;
      for (const Observation& o : x) centre += o[variable] / static_cast<double>(x.size());
      const Constraint& held = constraints[1 + terms_.size() + i];
      design.centre.push_back(centre);
      design.exponents.push_back(held.fixed ? std::vector{*held.fixed} : exponent_grid());
      design.powers.emplace_back();
      for (const double exponent : design.exponents.back()) {
        std::vector<double> column = design.offset;
        for (std::size_t n = 0; n < x.size(); ++n) column[n] *= std::exp(-exponent * (x[n][variable] - centre));
        design.powers.back().push_back(std::move(column));
      }
    }
    return design;
  }

  // The start at these exponents, `choice` being their places in the design: E and the coefficients by non-negative
  // least squares, what is given subtracted first.
  Parameters solve(const Design& design, const Constraints& constraints,
                   const std::array<std::size_t, 2>& choice) const {
    const std::size_t k = terms_.size();
    Parameters p{}, shift{};  // shift: log of the unit of each coefficient's column
    Columns columns;
    std::vector<std::size_t> of;  // which parameter each column's coefficient is
    std::vector<double> rest = design.target;
    const auto use = [&](std::size_t parameter, const std::vector<double>& column) {
      if (!constraints[parameter].fixed) {
        of.push_back(parameter);
        columns.push_back(column);
        return;
      }
      p[parameter] = *constraints[parameter].fixed;
      const double factor = std::exp(p[parameter] - shift[parameter]);
      for (std::size_t n = 0; n < rest.size(); ++n) rest[n] -= factor * column[n];
    };
    use(0, design.offset);
    for (std::size_t i = 0; i < k; ++i) {
      p[1 + k + i] = design.exponents[i][choice[i]];
      shift[1 + i] = p[1 + k + i] * design.centre[i];
      use(1 + i, design.powers[i][choice[i]]);
    }
    if (columns.empty()) return p;
    const std::vector<double> solved = nonnegative_least_squares(columns, rest);
    // A coefficient of 0 begins at a thousandth of the loss, so that the search may still find a use for it.
    for (std::size_t c = 0; c < of.size(); ++c)
      p[of[c]] = log_or_negligible(std::max(solved[c], 1e-3 * design.a_loss)) + shift[of[c]];
    return p;
  }

  std::string name_, equation_, offset_;
  std::vector<Term> terms_;
  bool has_offset_;
};

// ---- forms given by a formula in numbers of any kind, differentiated automatically ----
template <std::size_t M, typename Formula>
class FormulaLaw : public Law {
 public:
  double log_loss(const Parameters& p, const Observation& x) const override {
    std::array<double, M> q;
    std::copy(p.begin(), p.begin() + M, q.begin());
    return Formula::log_loss(q, x);
  }
  void evaluate(const Parameters& p, const Observation& x, LogLoss& result) const override {
    std::array<Dual<M>, M> q;
    for (std::size_t j = 0; j < M; ++j) q[j] = Dual<M>::variable(p[j], j);
    const Dual<M> y = Formula::log_loss(q, x);
    result.value = y.value;
    std::copy(y.slope.begin(), y.slope.end(), result.gradient.begin());
  }
};

template <typename T>
T log_sum_exp(const T& a, const T& b) {
  using std::exp;
  using std::log;
  const T top = value_of(a) > value_of(b) ? a : b;
  return top + log(exp(a - top) + exp(b - top));
}

// log Nc, log Dc, aN, aD
struct KaplanFormula {
  template <typename T>
  static T log_loss(const std::array<T, 4>& p, const Observation& x) {
    const T u = p[2] / p[3] * (p[0] - T(x[0])), v = p[1] - T(x[1]);
    return p[3] * log_sum_exp(u, v);
  }
};

class KaplanJoint final : public FormulaLaw<4, KaplanFormula> {
 public:
  std::string name() const override { return "kaplan-nd"; }
  std::string equation() const override { return "L = [(Nc/N)^(aN/aD) + Dc/D]^aD"; }
  std::vector<LawParameter> parameters() const override {
    return {
        {"Nc", true, -20.0, 200.0}, {"Dc", true, -20.0, 200.0}, {"aN", false, 0.005, 3.0}, {"aD", false, 0.005, 3.0}};
  }
  std::vector<Variable> variables() const override { return {Variable::kParams, Variable::kTokens}; }
  std::vector<Dependence> dependences() const override {
    return {{Variable::kParams, 0, 2}, {Variable::kTokens, 1, 3}};
  }
  std::string start_grid(const Constraints& constraints) const override {
    return grid_text(constraints, {2, 3}, 16) + "exponents from 0.02 to 1, Nc and Dc by non-negative least squares";
  }

  // L^(1/aD) is linear in Nc^(aN/aD) and Dc.
  std::vector<Parameters> starts(std::span<const Observation> x, std::span<const Target> targets,
                                 const Constraints& constraints) const override {
    const std::vector<double> grid = geometric(0.02, 1.0, 16);
    std::vector<Parameters> all;
    for (const double a_n : constraints[2].fixed ? std::vector{*constraints[2].fixed} : grid) {
      for (const double a_d : constraints[3].fixed ? std::vector{*constraints[3].fixed} : grid) {
        Columns columns(2, std::vector<double>(x.size()));
        std::vector<double> ones(x.size());
        double of_n = 0.0, of_d = 0.0;  // scales, so that nothing overflows
        for (std::size_t i = 0; i < x.size(); ++i) {
          of_n += (a_n / a_d * x[i][0] + targets[i].log_loss / a_d) / static_cast<double>(x.size());
          of_d += (x[i][1] + targets[i].log_loss / a_d) / static_cast<double>(x.size());
        }
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double w = std::sqrt(targets[i].weight), y = targets[i].log_loss / a_d;
          columns[0][i] = w * std::exp(of_n - a_n / a_d * x[i][0] - y);
          columns[1][i] = w * std::exp(of_d - x[i][1] - y);
          ones[i] = w;
        }
        const std::vector<double> c = nonnegative_least_squares(columns, ones);
        all.push_back({(log_or_negligible(std::max(c[0], 1e-3)) + of_n) * a_d / a_n,
                       log_or_negligible(std::max(c[1], 1e-3)) + of_d, a_n, a_d});
      }
    }
    return all;
  }
};

// What `excess` repeats of something worth `once` add up to, when each adds less by exp(-1 / r_star).
template <typename T>
T log_effective(const T& log_once, const T& excess, const T& log_r_star) {
  using std::exp;
  using std::expm1;
  using std::log1p;
  const T r_star = exp(log_r_star);
  return log_once + log1p(T(0.0) - r_star * expm1(T(0.0) - excess / r_star));
}

template <typename T>
std::array<T, 2> effective(const std::array<T, 7>& p, double log_n, double log_d, double log_unique) {
  using std::exp;
  using std::expm1;
  using std::log;
  const double log_u = std::min(log_unique, log_d);
  const T log_g = (log(p[3]) + p[1] - log(p[4]) - p[2]) / (p[3] + p[4]);
  const T log_n_opt = log_g + p[4] / p[3] * (T(log_u) + log_g);
  const T log_u_n = value_of(log_n_opt) < log_n ? log_n_opt : T(log_n);
  return {log_effective(log_u_n, T(expm1(T(log_n) - log_u_n)), p[6]),
          log_effective(T(log_u), T(std::expm1(log_d - log_u)), p[5])};
}

// log E, log A, log B, alpha, beta, log R_D*, log R_N*
struct DataConstrainedFormula {
  template <typename T>
  static T log_loss(const std::array<T, 7>& p, const Observation& x) {
    const std::array<T, 2> scale = effective(p, x[0], x[1], x[index_of(Variable::kUniqueTokens)]);
    return log_sum_exp(p[0], log_sum_exp(T(p[1] - p[3] * scale[0]), T(p[2] - p[4] * scale[1])));
  }
};

class DataConstrained final : public FormulaLaw<7, DataConstrainedFormula> {
 public:
  std::string name() const override { return "data-constrained"; }
  std::string equation() const override {
    return "L = E + A/N'^alpha + B/D'^beta, X' = U_X (1 + R_X* (1 - exp(-R_X/R_X*)))";
  }
  std::vector<LawParameter> parameters() const override {
    return {{"E", true, kNegligible, 40.0}, {"A", true, kNegligible, 80.0}, {"B", true, kNegligible, 80.0},
            {"alpha", false, 0.005, 4.0},   {"beta", false, 0.005, 4.0},    {"R_D*", true, -5.0, 16.0},
            {"R_N*", true, -5.0, 16.0}};
  }
  std::vector<Variable> variables() const override {
    return {Variable::kParams, Variable::kTokens, Variable::kUniqueTokens};
  }
  // Not U: one number of unique tokens, repeated more and less often, is enough.
  std::vector<Dependence> dependences() const override {
    return {{Variable::kParams, 1, 3}, {Variable::kTokens, 2, 4}};
  }
  std::string start_grid(const Constraints&) const override {
    return "R_D*, R_N* in {1, 4, 16, 64} each, the rest from the best chinchilla starts";
  }

  // The other parameters begin where the form without discount fits best.
  std::vector<Parameters> starts(std::span<const Observation> x, std::span<const Target> targets,
                                 const Constraints& constraints) const override {
    const auto inner = make_law("chinchilla");
    std::vector<Parameters> plain =
        inner->starts(x, targets, Constraints(constraints.begin(), constraints.begin() + 5));
    const auto squares = [&](const Parameters& p) {
      double sum = 0.0;
      for (std::size_t i = 0; i < x.size(); ++i)
        sum += targets[i].weight * std::abs(inner->log_loss(p, x[i]) - targets[i].log_loss);
      return sum;
    };
    std::sort(plain.begin(), plain.end(), [&](const auto& a, const auto& b) { return squares(a) < squares(b); });
    plain.resize(std::min<std::size_t>(plain.size(), 3));
    std::vector<Parameters> all;
    for (const Parameters& start : plain) {
      for (const double r_d : {1.0, 4.0, 16.0, 64.0}) {
        for (const double r_n : {1.0, 4.0, 16.0, 64.0}) {
          Parameters p = start;
          p[5] = std::log(r_d);
          p[6] = std::log(r_n);
          all.push_back(p);
        }
      }
    }
    return all;
  }
};

// E, A, B, alpha, beta at H = 0, then their slopes in H.
struct GzipFormula {
  template <typename T>
  static T log_loss(const std::array<T, 10>& p, const Observation& x) {
    using std::log;
    const double h = x[index_of(Variable::kComplexity)];
    const auto at = [&](std::size_t i) -> T { return p[i] + p[5 + i] * T(h); };
    const auto log_of = [&](std::size_t i) -> T {  // a coefficient that has crossed 0 counts for nothing
      const T value = at(i);
      return value_of(value) > 1e-12 ? T(log(value)) : T(kNegligible);
    };
    return log_sum_exp(log_of(0), log_sum_exp(T(log_of(1) - at(3) * T(x[0])), T(log_of(2) - at(4) * T(x[1]))));
  }
};

class GzipLaw final : public FormulaLaw<10, GzipFormula> {
 public:
  std::string name() const override { return "gzip"; }
  std::string equation() const override { return "L = E(H) + A(H)/N^alpha(H) + B(H)/D^beta(H), x(H) = n_x + m_x H"; }
  std::vector<LawParameter> parameters() const override {
    std::vector<LawParameter> all;
    for (const char* prefix : {"n_", "m_"}) {
      for (const char* name : {"E", "A", "B", "alpha", "beta"})
        all.push_back({std::string(prefix) + name, false, -1e15, 1e15});
    }
    return all;
  }
  std::vector<Variable> variables() const override {
    return {Variable::kParams, Variable::kTokens, Variable::kComplexity};
  }
  // The slopes in H of the exponents are to that of their coefficient what the exponents are to it.
  std::vector<Dependence> dependences() const override {
    return {{Variable::kParams, 1, 3},     {Variable::kTokens, 2, 4},     {Variable::kComplexity, 0, 5},
            {Variable::kComplexity, 1, 6}, {Variable::kComplexity, 2, 7}, {Variable::kParams, 6, 8},
            {Variable::kTokens, 7, 9}};
  }
  std::string start_grid(const Constraints&) const override {
    return "as published: a chinchilla fit for each H, a line in H through each parameter; and lines of slope 0";
  }
  std::vector<Parameters> starts(std::span<const Observation> x, std::span<const Target> targets,
                                 const Constraints&) const override {
    const auto inner = make_law("chinchilla");
    std::map<double, std::pair<std::vector<Observation>, std::vector<Target>>> sets;
    for (std::size_t i = 0; i < x.size(); ++i) {
      auto& [of, with] = sets[x[i][index_of(Variable::kComplexity)]];
      of.push_back(x[i]);
      with.push_back(targets[i]);
    }
    Columns line(2), values(5);  // E, A, B, alpha, beta of each set
    for (const auto& [h, set] : sets) {
      if (set.first.size() < 6) continue;
      const Parameters p = fit_set(*inner, set.first, set.second);
      line[0].push_back(1.0);
      line[1].push_back(h);
      for (std::size_t j = 0; j < 5; ++j) values[j].push_back(j < 3 ? std::exp(p[j]) : p[j]);
    }
    std::vector<Parameters> all;
    if (line[0].size() >= 2) {
      Parameters p{};
      for (std::size_t j = 0; j < 5; ++j) {
        const auto c = least_squares(line, values[j]);
        p[j] = (*c)[0];
        p[5 + j] = (*c)[1];
      }
      all.push_back(p);
    }
    for (const Parameters& p : inner->starts(x, targets, inner->default_constraints()))
      all.push_back({std::exp(p[0]), std::exp(p[1]), std::exp(p[2]), p[3], p[4]});
    return all;
  }

 private:
  class OneSet final : public Residuals {
   public:
    OneSet(const Law& law, const std::vector<Observation>& x) : law_(law), x_(x) {}
    std::size_t n_parameters() const override { return 5; }
    double log_loss(std::size_t i, const Parameters& p) const override { return law_.log_loss(p, x_[i]); }
    void evaluate(std::size_t i, const Parameters& p, LogLoss& result) const override {
      law_.evaluate(p, x_[i], result);
    }

   private:
    const Law& law_;
    const std::vector<Observation>& x_;
  };

  // The chinchilla fit of one dataset, Huber(0.001), from its best start.
  static Parameters fit_set(const Law& law, const std::vector<Observation>& x, const std::vector<Target>& targets) {
    const OneSet set(law, x);
    const std::vector<Parameters> starts = law.starts(x, targets, law.default_constraints());
    const auto best = std::min_element(starts.begin(), starts.end(), [&](const Parameters& a, const Parameters& b) {
      return objective_value(set, targets, {}, a) < objective_value(set, targets, {}, b);
    });
    Bounds bounds;
    const auto parameters = law.parameters();
    for (std::size_t j = 0; j < 5; ++j) {
      bounds.lo[j] = parameters[j].lo;
      bounds.hi[j] = parameters[j].hi;
    }
    return minimise_newton(set, targets, {}, *best, bounds).p;
  }
};

}  // namespace

std::string symbol_of(Variable variable) {
  constexpr std::array<const char*, kVariables> kSymbols{"N", "D", "C", "U", "H", "S"};
  return kSymbols[index_of(variable)];
}

Observation observe(const ScalingPoint& point) {
  Observation x{};
  for (std::size_t v = 0; v < kVariables; ++v) {
    if (!point.x[v]) continue;
    x[v] = v == index_of(Variable::kComplexity) ? *point.x[v] : std::log(*point.x[v]);
  }
  return x;
}

double LawParameter::shown(double fitted_value) const {
  if (!is_log) return fitted_value;
  return fitted_value <= kNegligible ? 0.0 : std::exp(fitted_value);
}

double LawParameter::fitted(double shown_value) const { return is_log ? log_or_negligible(shown_value) : shown_value; }

Constraint given(const LawParameter& parameter, double shown) {
  const double lo = parameter.shown(parameter.lo), hi = parameter.shown(parameter.hi);
  if (shown >= lo && shown <= hi) return {parameter.fitted(shown), std::nullopt};
  char text[120];
  std::snprintf(text, sizeof text, " cannot be %.6g: it lies between %.6g and %.6g", shown, lo, hi);
  throw Error(ErrorKind::kUsage, parameter.name + text, "give a value between them");
}

std::vector<std::string> law_names() {
  return {"chinchilla", "kaplan-n", "kaplan-d", "kaplan-c", "kaplan-nd", "data-constrained", "gzip", "training"};
}

std::unique_ptr<Law> make_law(const std::string& name, bool with_offset) {
  const auto kaplan = [&](const std::string& symbol, Variable variable, const std::string& exponent) {
    const std::string form = "A / " + symbol + "^" + exponent;
    return std::make_unique<PowerSum>(
        name, with_offset ? "L = E + " + form : "L = " + form + ", " + symbol + "c = A^(1/" + exponent + ")", "E",
        std::vector<PowerSum::Term>{{variable, "A", exponent}}, with_offset);
  };
  if (name == "kaplan-n") return kaplan("N", Variable::kParams, "alpha");
  if (name == "kaplan-d") return kaplan("D", Variable::kTokens, "beta");
  if (name == "kaplan-c") return kaplan("C", Variable::kFlops, "gamma");
  if (name == "kaplan-nd") return std::make_unique<KaplanJoint>();
  if (name == "chinchilla")
    return std::make_unique<PowerSum>(
        name, "L = E + A/N^alpha + B/D^beta", "E",
        std::vector<PowerSum::Term>{{Variable::kParams, "A", "alpha"}, {Variable::kTokens, "B", "beta"}}, true);
  if (name == "training")
    return std::make_unique<PowerSum>(
        name, "L = c + b/P^p + d/S^q", "c",
        std::vector<PowerSum::Term>{{Variable::kParams, "b", "p"}, {Variable::kSteps, "d", "q"}}, true);
  if (name == "data-constrained") return std::make_unique<DataConstrained>();
  if (name == "gzip") return std::make_unique<GzipLaw>();
  throw Error(ErrorKind::kUsage, "there is no law \"" + name + "\"", suggestion(name, law_names()));
}

void tie(Constraints& constraints, const Law& law, std::size_t a, std::size_t b) {
  const LawParameter first = law.parameters()[std::min(a, b)], second = law.parameters()[std::max(a, b)];
  if (a == b) throw Error(ErrorKind::kUsage, first.name + " is tied to itself", "tie two parameters, as in beta=alpha");
  if (first.is_log != second.is_log)
    throw Error(ErrorKind::kUsage,
                second.name + " cannot be tied to " + first.name + ": " + (first.is_log ? first.name : second.name) +
                    " is fitted as its logarithm and " + (first.is_log ? second.name : first.name) + " is not",
                "tie two exponents, or two coefficients");
  const std::size_t low = std::min(a, b), high = std::max(a, b);
  const auto before = constraints[high].tied_to;
  constraints[high].tied_to = low;
  if (before && *before != low) tie(constraints, law, *before, low);
}

Constraints resolved(const Law& law, Constraints constraints) {
  const std::vector<LawParameter> parameters = law.parameters();
  for (std::size_t j = 0; j < constraints.size(); ++j) {
    if (!constraints[j].tied_to) continue;
    const std::size_t to = *constraints[j].tied_to;
    LMBITS_CHECK(to < j);  // so what it is tied to is resolved already
    if (constraints[j].fixed)
      throw Error(ErrorKind::kUsage, parameters[j].name + " is both given and tied to " + parameters[to].name,
                  "give " + parameters[to].name + " instead, which gives both, or leave out the tie");
    if (constraints[to].fixed || constraints[to].tied_to) constraints[j] = constraints[to];
  }
  return constraints;
}

Parameters constrained(const Constraints& constraints, Parameters p) {
  for (std::size_t j = 0; j < constraints.size(); ++j) {
    if (constraints[j].fixed) p[j] = *constraints[j].fixed;
    if (constraints[j].tied_to) p[j] = p[*constraints[j].tied_to];
  }
  return p;
}

EffectiveScale effective_scale(const Parameters& p, double log_n, double log_d, double log_unique) {
  std::array<double, 7> q;
  std::copy(p.begin(), p.begin() + 7, q.begin());
  const auto scale = effective(q, log_n, log_d, log_unique);
  return {scale[0], scale[1]};
}

}  // namespace lmbits
