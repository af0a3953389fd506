// A law with its parameters, from wherever: a file that `lmbits scaling fit -o` wrote, a publication, or the command
// line. With refits, whatever is computed from it has an interval.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/scaling/fit.h"
#include "src/scaling/points.h"

namespace lmbits {

inline constexpr int kFitSchema = 1;

struct KnownLaw {
  std::shared_ptr<const Law> law;
  Parameters p{};
  Refits refits;       // empty: no intervals
  std::string source;  // where it comes from, in words
  LossUnit unit = LossUnit::kNatsPerToken;

  double loss(const ScalingPoint& point) const;
  // BCa, of anything computed from the parameters (percentiles where no fit left a point out); nullopt without refits.
  std::optional<Interval> interval(const Quantity& quantity, double level) const;
};

// `text` is a published law's name, "E=1.8,A=482,B=2085,alpha=.35,beta=.37" of the chinchilla form (or
// "LAW:NAME=VALUE,..." of any), or a fit's file. Throws Error(kUsage) for what is none of them, Error(kData) for a file
// that is no fit or of another schema.
KnownLaw find_law(const std::string& text);

KnownLaw known_law(const Fit& fit, const Refits& refits, const Points& points, const std::string& source);
Json to_json(const KnownLaw& law);
KnownLaw known_law_from_json(const Json& json, const std::string& source);

// The chinchilla law that a gzip law is for data of complexity H. Throws Error(kData) where one of its lines is not above
// 0 there: H is too far from the data it was fitted to.
KnownLaw at_complexity(const KnownLaw& gzip, double h);

// E, A, B, alpha, beta of two chinchilla laws, each (1 - share) of `law` and `share` of `other`: how Pandey 2024 proposes
// to adjust a law of web text by one of the data's complexity. With the refits of both as those of two independent fits
// (as many as the one with fewer has), else of the one that has them. Throws Error(kUsage) for other forms and for losses in
// two units.
KnownLaw blended(const KnownLaw& law, const KnownLaw& other, double share);

// What each unit of compute buys: for L = E + A / N^alpha + B / D^beta and C = 6 N D
//   N* = G (C / 6)^(beta / (alpha + beta)),  D* = C / (6 N*),  G = (alpha A / (beta B))^(1 / (alpha + beta))
// (Hoffmann et al. 2022, eq. 4).
struct Allocation {
  double n, d, loss;
};
Allocation compute_optimal(const Parameters& chinchilla, double flops);
// The same with an exponent of N* alone: beta / (alpha + beta).
double optimal_exponent(const Parameters& chinchilla);

// The compute-optimal allocation of any law that depends on N and D (and U: `unique_tokens`), by golden section over N.
Allocation compute_optimal(const Law& law, const Parameters& p, double flops, std::optional<double> unique_tokens = {});

}  // namespace lmbits
