// Why Kaplan et al. found N* ~ C^0.73 and Hoffmann et al. C^0.50: Pearce & Song 2024 (arXiv:2406.12907).
//
// A chinchilla law in total parameters is looked at with non-embedding ones:
//   N_T = N_E + omega N_E^(1/3), C_E = 6 N_E D, C_T = 6 N_T D
// (their eq. 4: N_E = 12 n_layer d^2, the aspect ratio d / n_layer being constant, so the embedding grows as N_E^(1/3)).
#pragma once
#include <vector>

#include "src/scaling/objective.h"

namespace lmbits {

struct ReconcileGrid {
  double omega = 47491.0;  // V (aspect / 12)^(1/3), of V = 32,000 tokens and d_model / n_layer = 39.2252
  int n_sizes = 20;
  double log10_n_lo = 2.9, log10_n_hi = 9.2;  // of N_E
  int n_tokens = 1000;
  double log10_d_lo = 6.0, log10_d_hi = 25.0;
  int n_budgets = 100;
  double log10_ce_lo = 12.95, log10_ce_hi = 20.7;  // of the frontier in C_E
  double log10_ct_lo = 14.0, log10_ct_hi = 20.7;   // and in C_T
};

double total_params(double non_embedding, double omega);
double non_embedding_params(double total, double omega);

struct FrontierPoint {
  double flops, n, d, loss;
};

struct Frontier {
  std::vector<FrontierPoint> points;
  double n_exponent = 0.0;  // of n ~ C^x, least squares of logarithms over the frontier
  double d_exponent = 0.0;
  double loss_exponent = 0.0;  // of loss ~ C^x, without an offset
};

struct Reconciliation {
  Frontier non_embedding, total;
};

// As published: at each budget, the best of `n_sizes` models whose curves of `n_tokens` token counts are read off at the
// budget, linearly between them. So the frontier moves in the steps of the grid, which move the second digit.
Reconciliation reconcile(const Parameters& chinchilla, const ReconcileGrid& grid);

// The exact frontier's local exponent g = d log N_E / d log C_E at N_E. With s = d log N_T / d log N_E the optimum of
// E + A N_T^-alpha + B (C_E / (6 N_E))^-beta has alpha A s N_T^-alpha = beta B (6 N_E / C_E)^beta, and so
//   g = beta / (beta + alpha s - d log s / d log N_E),
// from beta / (alpha / 3 + beta) at small N_E to beta / (alpha + beta) at large ones, not monotone between.
double local_exponent(const Parameters& chinchilla, double non_embedding, double omega);
// The C_E for which N_E is optimal.
double flops_of_optimum(const Parameters& chinchilla, double non_embedding, double omega);

}  // namespace lmbits
