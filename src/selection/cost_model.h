// What it costs to store a set of samples, and what one more would cost: the yardstick of the selection.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/selection/conditional_bits.h"

namespace lmbits {

struct StoredSize {
  std::int64_t raw_bytes = 0;
  double stored_bytes = 0.0;  // a fraction where a language model's bits are counted

  // R of Yin et al. 2024 (arXiv:2407.06645): higher is more redundant.
  double ratio() const { return static_cast<double>(raw_bytes) / stored_bytes; }
};

// Texts one after the other. What is returned depends on them alone, not on the number of threads.
class StoredSet {
 public:
  using TextOf = std::function<std::string(std::int64_t)>;  // called from several threads
  virtual ~StoredSet() = default;
  virtual void append(std::string_view text) = 0;
  // Of the set with text(i) behind it, for each i in [0, n); the set stays as it is.
  virtual std::vector<StoredSize> sizes_with(std::int64_t n, const TextOf& text) = 0;
};

class CostModel {
 public:
  virtual ~CostModel() = default;
  virtual std::unique_ptr<StoredSet> empty_set() const = 0;
  // All that its numbers depend on: what a resume compares, and the manifest says.
  virtual Json identity() const = 0;
};

// The whole set as one zlib stream, as in ZIP: zlib.compress(set + text, level), level 0 to 9, its window 32 KiB. By the
// sizer that writes nothing where there is one (levels 4 to 9); one size in 64 calls is compared with zlib's, and
// Error(kUnsupported) thrown where they differ. `by_zlib`: by copies of zlib's state only (slower).
std::unique_ptr<CostModel> make_deflate_cost(int level, int n_threads, bool by_zlib = false);

// zstd with the set's last `window_bytes` as dictionary: the set's size is the sum of what each text needed when it came.
// Frame headers count (without the magic number).
std::unique_ptr<CostModel> make_zstd_cost(int level, std::int64_t window_bytes, int n_threads);

// A language model's own compression: the set's size is the sum of what each text needed, in bits / 8, behind what the
// model's context holds of those before it.
std::unique_ptr<CostModel> make_model_cost(std::shared_ptr<ConditionalBits> bits);

}  // namespace lmbits
