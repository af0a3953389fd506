// The k smallest values, in torch.topk's order.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace lmbits {

// The indices of torch.topk(values, k, largest=False), to the order of equal values: PyTorch's CPU code orders (value,
// index) pairs by value alone with the standard library's partial_sort where 64 k <= n, else with nth_element and sort, so
// libstdc++'s treatment of ties is part of ZIP's released code. Seen so with torch 2.13; 1 <= k <= n.
std::vector<std::int64_t> torch_top_k(std::span<const float> values, std::int64_t k);

}  // namespace lmbits
