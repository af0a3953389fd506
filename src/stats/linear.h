// Dense linear algebra of a handful of columns.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

namespace lmbits {

using Columns = std::vector<std::vector<double>>;  // [k][n]: k columns of n rows

// Singular values in descending order, and the right singular vector of each, by one-sided Jacobi rotations of the
// columns (Hestenes 1958, doi:10.1137/0106005): small singular values keep their relative precision, which those from
// the normal equations lose.
struct Svd {
  std::vector<double> values;
  Columns right;  // right[i] belongs to values[i]
};
Svd svd(Columns columns);

// The x that solves H x = b for a symmetric positive definite H, [m][m] row by row, by Cholesky after scaling the
// diagonal to 1. nullopt where H is not numerically positive definite.
std::optional<std::vector<double>> solve_positive_definite(const std::vector<double>& h, const std::vector<double>& b);

// argmin |sum_k x_k columns_k - target|^2 over x >= 0, by trying every set of non-zero coefficients: at most 4 columns.
// Columns may be nearly dependent; a set that cannot be solved is passed over.
std::vector<double> nonnegative_least_squares(const Columns& columns, const std::vector<double>& target);

// argmin |sum_k x_k columns_k - target|^2 by Householder QR. nullopt where the columns are dependent.
std::optional<std::vector<double>> least_squares(Columns columns, std::vector<double> target);

}  // namespace lmbits
