#include "kernels/bodies_simd.h"
#include "kernels/simd_avx512.h"

namespace lmbits::kernels {

constinit const Bodies kAvx512Bodies = all_bodies<Avx512>();

}  // namespace lmbits::kernels
