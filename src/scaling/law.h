// The forms of scaling laws: what loss to expect of N parameters trained on D tokens.
//
// All losses are in nats per token, or whatever unit the points have: the forms do not know.
//   kaplan-n, -d, -c   L = (Xc / X)^a, X = N, D or C          Kaplan et al. 2020 (arXiv:2001.08361), eq. 1.1-1.3
//   kaplan-nd          L = [(Nc/N)^(aN/aD) + Dc/D]^aD         eq. 1.5
//   chinchilla         L = E + A / N^alpha + B / D^beta       Hoffmann et al. 2022 (arXiv:2203.15556), eq. 2
//   data-constrained   the same of N', D' below, which discount what exceeds the unique tokens U
//                                                             Muennighoff et al. 2023 (arXiv:2305.16264), eq. 5 and 6
//   gzip               chinchilla with E, A, B, alpha, beta each linear in the data's gzip complexity H
//                                                             Pandey 2024 (arXiv:2405.16684)
//   training           L = c + b / P^p + d / S^q, P parameters and S optimiser steps
// N', D': U_N = min(N, N_opt(U)), R_N = N / U_N - 1, R_D = D / U_D - 1 with U_D = min(U, D),
//   D' = U_D (1 + R_D* (1 - exp(-R_D / R_D*))), N' likewise; N_opt(U) is the compute-optimal size for U tokens.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/scaling/objective.h"

namespace lmbits {

enum class Variable { kParams, kTokens, kFlops, kUniqueTokens, kComplexity, kSteps };
inline constexpr std::size_t kVariables = 6;
std::string symbol_of(Variable variable);  // "N", "D", "C", "U", "H", "S"

// One trained model. What is not known is nullopt.
struct ScalingPoint {
  std::string label;                                // for messages: the file's line, or the run's name
  std::array<std::optional<double>, kVariables> x;  // > 0
  double loss = 0.0;                                // > 0
  double weight = 1.0;                              // >= 0

  std::optional<double>& at(Variable v) { return x[static_cast<std::size_t>(v)]; }
  const std::optional<double>& at(Variable v) const { return x[static_cast<std::size_t>(v)]; }
};

// What a law sees of a point: natural logarithms, H as it is; 0 where not known.
using Observation = std::array<double, kVariables>;
Observation observe(const ScalingPoint& point);

// A parameter as it is printed ("A") and as it is fitted (log A, where `is_log`), with the bounds of the fit.
struct LawParameter {
  std::string name;
  bool is_log = false;
  double lo = 0.0, hi = 0.0;

  double shown(double fitted) const;
  double fitted(double shown) const;
};

// What holds a parameter: a value (as fitted), or another parameter with a smaller index that it equals.
struct Constraint {
  std::optional<double> fixed;
  std::optional<std::size_t> tied_to;
};
using Constraints = std::vector<Constraint>;  // one a parameter

// A parameter given as it is printed. Throws Error(kUsage) for a value that no fit could find.
Constraint given(const LawParameter& parameter, double shown);

// How the loss follows a variable: `slope` says how fast (an exponent), and scales with the variable's unit what `level`
// (its coefficient) is. Where the variable never changes, points cannot tell the two apart.
struct Dependence {
  Variable variable;
  std::size_t level, slope;  // parameters
};

class Law {
 public:
  virtual ~Law() = default;
  virtual std::string name() const = 0;
  virtual std::string equation() const = 0;
  virtual std::vector<LawParameter> parameters() const = 0;
  virtual std::vector<Variable> variables() const = 0;
  virtual std::vector<Dependence> dependences() const = 0;  // each slope once
  virtual Constraints default_constraints() const { return Constraints(parameters().size()); }

  virtual double log_loss(const Parameters& p, const Observation& x) const = 0;
  virtual void evaluate(const Parameters& p, const Observation& x, LogLoss& result) const = 0;

  // Where a search begins: every start of a grid over what is not linear, what is linear solved for by non-negative
  // least squares (variable projection: Golub & Pereyra 1973, doi:10.1137/0710036).
  virtual std::vector<Parameters> starts(std::span<const Observation> x, std::span<const Target> targets,
                                         const Constraints& constraints) const = 0;
  virtual std::string start_grid(const Constraints& constraints) const = 0;  // in words

  // The grid of a publication for minimise_lbfgs; empty where there is none.
  virtual std::vector<Parameters> published_starts() const { return {}; }
};

std::vector<std::string> law_names();
// Throws Error(kUsage) for a name that is not one. `with_offset`: Kaplan's one-variable forms with a free E added.
std::unique_ptr<Law> make_law(const std::string& name, bool with_offset = false);

// Makes two parameters one, with all that either is tied to already. Throws Error(kUsage) for a parameter and itself, and
// for one that is fitted as its logarithm and one that is not: equal as fitted, they would not be as printed.
void tie(Constraints& constraints, const Law& law, std::size_t a, std::size_t b);

// The same constraints, every tie to a free parameter: chains are followed, and what is tied to a given parameter is
// given itself. Throws Error(kUsage) for a parameter that is both given and tied.
Constraints resolved(const Law& law, Constraints constraints);

// Parameters that obey the constraints, the others as they are.
Parameters constrained(const Constraints& constraints, Parameters p);

// log N' and log D' of the data-constrained form: p holds log E, log A, log B, alpha, beta, log R_D*, log R_N*.
struct EffectiveScale {
  double log_n, log_d;
};
EffectiveScale effective_scale(const Parameters& p, double log_n, double log_d, double log_unique);

}  // namespace lmbits
