#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/head.h"
#include "kernels/head_isa.h"

namespace lmbits::kernels {

void head_nll(Isa isa, const Linear& map, const float* packed, const float* x, std::int64_t n_rows,
              const std::int32_t* targets, NllState* state) {
  const Bodies& body = bodies(isa);
  const auto run = [&](const float* from, std::int64_t n, const std::int32_t* own_targets, HeadRow* rows) {
    body.head_rows(map, packed, from, n, own_targets, rows);
  };
  const std::int64_t whole = n_rows / body.tile_rows * body.tile_rows, left = n_rows - whole;
  std::vector<HeadRow> rows(static_cast<std::size_t>(whole + body.tile_rows));
  run(x, whole, targets, rows.data());
  if (left > 0) {  // rows of zeros fill the last tile up
    std::vector<float> last(static_cast<std::size_t>(body.tile_rows * map.n_in), 0.0F);
    std::vector<std::int32_t> last_targets(static_cast<std::size_t>(body.tile_rows), 0);
    std::copy_n(x + whole * map.n_in, left * map.n_in, last.begin());
    std::copy_n(targets + whole, left, last_targets.begin());
    run(last.data(), body.tile_rows, last_targets.data(), rows.data() + whole);
  }
  for (std::int64_t i = 0; i < n_rows; ++i) {
    const HeadRow& row = rows[static_cast<std::size_t>(i)];
    state[i] = {row.sum * std::exp(double{row.reference} - row.max), row.max, row.target};
  }
}

}  // namespace lmbits::kernels
