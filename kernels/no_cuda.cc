// Stands in for the .cu files in a build without CUDA, so that no other file needs an #ifdef.
#include <stdexcept>

#include "kernels/nll_rows.h"

namespace lmbits::kernels {
namespace {

[[noreturn]] void refuse() { throw std::logic_error("this build has no CUDA kernels: ask has_cuda_kernels() first"); }

}  // namespace

void nll_rows(const NllRows&, const NllRowsOut&, void*, std::int64_t) { refuse(); }
void nll_tile_init(NllRowState*, std::int64_t, void*) { refuse(); }
void nll_tile_update(const NllRows&, NllRowState*, void*, std::int64_t) { refuse(); }
void nll_merge_segsum(const NllMerge&, float*, NllSum*, std::uint32_t*, void*, std::int64_t) { refuse(); }
bool has_cuda_kernels() { return false; }

}  // namespace lmbits::kernels
