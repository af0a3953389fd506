// The size of a zlib stream of a long text and one more sample, without compressing the long text again.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

// Sizes of zlib.compress(prefix + sample, level), for many samples after one prefix.
class PrefixSizer {
 public:
  virtual ~PrefixSizer() = default;
  virtual void append(std::string_view bytes) = 0;              // to the prefix
  virtual std::int64_t size_with(std::string_view sample) = 0;  // in bytes; the prefix stays as it was
};

// By zlib itself: its state after the prefix is copied (deflateCopy) for each sample. Any level, 0 to 9. What it costs is
// not the prefix but the copy (268 kB) and the block of up to 16383 symbols that the prefix left open: with each sample
// zlib writes that block out anew.
std::unique_ptr<PrefixSizer> make_zlib_sizer(int level);

// The same sizes by doing what zlib (1.2.11 to 1.3.1, levels 4 to 9, memory level 8, window 32 KiB) does, short of writing
// bits: its matches, its blocks, its choice among stored, static and dynamic codes, its Huffman trees. The open block is
// a histogram, and a sample's traces in the hash chains are undone, so a sample costs its own matches and two trees.
// The state is 256 kB and the last 32 KiB of the prefix, whatever its length. A sample has less than 1 GiB.
//
// One thing differs from zlib's own streaming: at a window's end, zlib's result depends on how much input it was given
// at once (a match at distance exactly 32506 is found or not). This is what it gives for all of it at once, as
// zlib.compress does; a copied state may differ there, by a few bits, in one text of thousands.
//
// Positions are 32-bit numbers: at `rebase_at` all of them are lowered (tests do it early).
std::unique_ptr<PrefixSizer> make_deflate_sizer(int level, std::uint32_t rebase_at = std::uint32_t{1} << 30);

inline constexpr std::int64_t kMaxSampleBytes = std::int64_t{1} << 30;

}  // namespace lmbits
