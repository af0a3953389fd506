// The kernels of kernels/*.cu, run on the host thread by thread.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/nll_rows.h"
#include "tests/simt/simt.h"

namespace lmbits::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr LogitType kTypes[] = {LogitType::kFloat32, LogitType::kBFloat16, LogitType::kFloat16};

std::size_t bytes_of(LogitType type) { return type == LogitType::kFloat32 ? 4 : 2; }

std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Rounded to nearest even; subnormal results become 0.
std::uint16_t to_half(float value) {
  const std::uint32_t bits = bits_of(value), sign = (bits >> 16) & 0x8000U;
  if (std::isnan(value)) return 0x7e00;
  if (std::fabs(value) >= 65520.0F) return static_cast<std::uint16_t>(sign | 0x7c00U);
  if (std::fabs(value) < 6.2e-5F) return static_cast<std::uint16_t>(sign);
  const std::uint32_t shifted = (bits & 0x7fffffffU) - (112U << 23);
  return static_cast<std::uint16_t>(sign | ((shifted + 0xfffU + ((shifted >> 13) & 1U)) >> 13));
}

std::uint16_t to_bfloat(float value) {
  if (std::isnan(value)) return 0x7fc0;
  const std::uint32_t bits = bits_of(value);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

// Rows of logits as a kernel sees them. What lies between rows is NaN and, as far as the kernel may go, not there.
class Matrix {
 public:
  // The first row begins `offset` elements behind a 16-byte boundary.
  Matrix(LogitType type, std::int64_t n_rows, std::int64_t n_cols, std::int64_t gap = 0, std::int64_t offset = 0)
      : type_(type), n_rows_(n_rows), n_cols_(n_cols), stride_(n_cols + gap), size_(bytes_of(type)) {
    memory_.resize((static_cast<std::size_t>(n_rows * stride_ + offset) * size_ + 32) / 16 * 16 + 16);
    auto at = reinterpret_cast<std::uintptr_t>(memory_.data());
    begin_ = memory_.data() + (16 - at % 16) % 16 + static_cast<std::size_t>(offset) * size_;
    for (std::int64_t i = 0; i < n_rows; ++i) {
      for (std::int64_t v = 0; v < stride_; ++v) set(i, v, kNaN);
    }
    targets.assign(static_cast<std::size_t>(n_rows), 0);
  }

  void set(std::int64_t i, std::int64_t v, float value) {
    char* at = begin_ + static_cast<std::size_t>(i * stride_ + v) * size_;
    const std::uint16_t narrow = type_ == LogitType::kBFloat16 ? to_bfloat(value) : to_half(value);
    if (type_ == LogitType::kFloat32) std::memcpy(at, &value, 4);
    if (type_ != LogitType::kFloat32) std::memcpy(at, &narrow, 2);
  }

  void fill(float spread, float offset = 0.0F, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < n_rows_; ++i) {
      for (std::int64_t v = 0; v < n_cols_; ++v) set(i, v, offset + spread * normal(random));
      targets[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(random() % static_cast<unsigned>(n_cols_));
    }
  }

  NllRows rows() const { return {begin_, type_, nullptr, targets.data(), n_rows_, n_cols_, stride_, 0, 1.0F, 0.0F}; }

  // Columns [first, end) as a tile.
  NllRows tile(std::int64_t first, std::int64_t end) const {
    NllRows tile = rows();
    tile.logits = begin_ + static_cast<std::size_t>(first) * size_;
    tile.n_cols = end - first;
    tile.first_col = first;
    return tile;
  }

  std::vector<std::int32_t> targets;

 private:
  LogitType type_;
  std::int64_t n_rows_, n_cols_, stride_;
  std::size_t size_;
  std::vector<char> memory_;
  char* begin_;
};

struct Result {
  std::vector<float> bits, lse, entropy;
  std::vector<std::int32_t> rank;
  std::uint32_t flags = 0;
  bool operator==(const Result& other) const {
    const auto same = [](const auto& a, const auto& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
    };
    return same(bits, other.bits) && same(lse, other.lse) && same(entropy, other.entropy) && rank == other.rank &&
           flags == other.flags;
  }
};

void allow_rows(const NllRows& in) {
  const auto size = static_cast<std::int64_t>(bytes_of(in.type));
  for (std::int64_t i = 0; i < in.n_rows; ++i) {
    simt::allow(static_cast<const char*>(in.logits) + i * in.stride * size, in.n_cols * size);
  }
  simt::allow(in.targets, in.n_rows * 4);
  if (in.bias != nullptr) simt::allow(in.bias, in.n_cols * 4);
}

enum class Ask { kBits, kEverything };

Result run(const NllRows& in, Ask ask = Ask::kEverything, simt::Schedule schedule = simt::Schedule::kAscending,
           std::int64_t n_blocks = 0) {
  const auto n = static_cast<std::size_t>(in.n_rows);
  Result r{std::vector<float>(n, -1.0F), std::vector<float>(n, -1.0F), std::vector<float>(n, -1.0F),
           std::vector<std::int32_t>(n, -7)};
  simt::clear();
  simt::options().schedule = schedule;
  allow_rows(in);
  for (const auto* out : {&r.bits, &r.lse, &r.entropy}) simt::allow(out->data(), in.n_rows * 4);
  simt::allow(r.rank.data(), in.n_rows * 4);
  simt::allow(&r.flags, 4);
  if (ask == Ask::kBits) {
    nll_rows(in, {r.bits.data(), nullptr, nullptr, nullptr, &r.flags}, nullptr, n_blocks);
  } else {
    nll_rows(in, {r.bits.data(), r.lse.data(), r.rank.data(), r.entropy.data(), &r.flags}, nullptr, n_blocks);
  }
  return r;
}

void expect_reference(const NllRows& in, const Result& r, double tolerance, const std::string& what) {
  std::vector<NllRowReference> expected(static_cast<std::size_t>(in.n_rows));
  std::uint32_t flags = 0;
  nll_rows_reference(in, expected.data(), &flags);
  EXPECT_EQ(r.flags, flags) << what;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto near = [&](float got, double want, const char* name) {
      if (std::isfinite(want)) {
        EXPECT_NEAR(got, want, tolerance * std::max(1.0, std::fabs(want))) << what << " row " << i << " " << name;
      } else {
        EXPECT_TRUE(std::isnan(want) ? std::isnan(got) : got == want) << what << " row " << i << " " << name << got;
      }
    };
    near(r.bits[i], expected[i].bits, "bits");
    if (r.rank[i] == -7) continue;  // was not asked for
    EXPECT_EQ(r.rank[i], expected[i].rank) << what << " row " << i;
    if (std::isnan(expected[i].bits)) continue;
    near(r.lse[i], expected[i].lse, "lse");
    near(r.entropy[i], expected[i].entropy, "entropy");
  }
}

class Simt : public testing::Test {
 protected:
  void TearDown() override { simt::clear(); }
};

// ---- values

TEST_F(Simt, NllAgreesWithTheReferenceAtEveryWidth) {
  std::vector<std::int64_t> widths = {63,   64,   65,   127,  128,  129,  255,  256,  257,  511,  513,
                                      1023, 1024, 1025, 2047, 2048, 2049, 8191, 8192, 8193, 8200, 9217};
  for (std::int64_t v = 1; v <= 33; ++v) widths.push_back(v);
  for (const LogitType type : kTypes) {
    for (const std::int64_t width : widths) {
      Matrix m(type, 1, width);
      m.fill(4.0F);
      expect_reference(m.rows(), run(m.rows()), 3e-6, "V = " + std::to_string(width));
    }
  }
}

TEST_F(Simt, NllIsWithinTheBoundAtALargeVocabulary) {
  for (const float spread : {0.0F, 0.5F, 3.0F, 20.0F}) {
    for (const float offset : {0.0F, 1e4F}) {
      Matrix m(LogitType::kFloat32, 1, 256000);
      m.fill(spread, offset);
      const Result r = run(m.rows(), Ask::kBits);
      expect_reference(m.rows(), r, 2e-6, "spread " + std::to_string(spread) + " offset " + std::to_string(offset));
    }
  }
}

TEST_F(Simt, NllTakesOneHotAndUnderflowingRows) {
  Matrix m(LogitType::kFloat32, 3, 3000);
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t v = 0; v < 3000; ++v) m.set(i, v, -1e4F);
    m.set(i, 1700, 0.0F);
  }
  m.targets = {1700, 2999, 0};
  expect_reference(m.rows(), run(m.rows()), 1e-6, "one hot");
}

TEST_F(Simt, NllOfSoftcapScaleAndBias) {
  for (const LogitType type : kTypes) {
    Matrix m(type, 2, 2500);
    m.fill(25.0F);
    std::vector<float> bias(2500);
    for (std::size_t v = 0; v < bias.size(); ++v) bias[v] = static_cast<float>(v % 17) / 4.0F;
    for (const float softcap : {0.0F, 30.0F}) {
      for (const bool biased : {false, true}) {
        NllRows in = m.rows();
        in.scale = 0.75F;
        in.softcap = softcap;
        if (biased) in.bias = bias.data();
        const Result r = run(in);
        // 2.4e-7 of the cap, in bits, for each of the two logits a result hangs on most.
        expect_reference(in, r, softcap > 0 ? 1.5e-5 : 3e-6, "softcap " + std::to_string(softcap));
      }
    }
  }
}

// ---- special values

TEST_F(Simt, NllOfANaNLogitIsNaNAndFlagged) {
  for (const std::int64_t column : {0, 5, 1023, 1024, 8999, 9000}) {
    for (const float bad : {kNaN, kInf}) {
      Matrix m(LogitType::kBFloat16, 2, 9001);
      m.fill(2.0F);
      m.set(1, column, bad);
      const Result r = run(m.rows());
      EXPECT_FALSE(std::isnan(r.bits[0]));
      EXPECT_TRUE(std::isnan(r.bits[1])) << column << " " << bad;
      EXPECT_EQ(r.rank[1], -1);
      EXPECT_EQ(r.flags, kNllNotFinite);
    }
  }
}

TEST_F(Simt, NllOfMinusInfinityIsProbabilityZero) {
  Matrix m(LogitType::kFloat32, 4, 5000);
  m.fill(1.0F);
  for (std::int64_t v = 0; v < 5000; ++v) {
    if (v < 4500) m.set(0, v, -kInf);  // whole threads and warps see nothing else
    if (v != 4999) m.set(1, v, -kInf);
    m.set(2, v, -kInf);
  }
  m.targets = {4600, 4999, 3, 7};
  m.set(3, 7, -kInf);
  const Result r = run(m.rows());
  expect_reference(m.rows(), r, 2e-6, "-inf");
  EXPECT_EQ(r.bits[1], 0.0F);
  EXPECT_TRUE(std::isnan(r.bits[2]));
  EXPECT_EQ(r.bits[3], kInf);
  EXPECT_EQ(r.flags, kNllNotFinite);
}

TEST_F(Simt, NllOfATargetOutsideTheVocabularyIsNaNAndFlagged) {
  Matrix m(LogitType::kFloat16, 4, 700, 4);
  m.fill(2.0F);
  m.targets = {3, -1, 700, std::numeric_limits<std::int32_t>::min()};
  for (const Ask ask : {Ask::kBits, Ask::kEverything}) {
    const Result r = run(m.rows(), ask);
    EXPECT_FALSE(std::isnan(r.bits[0]));
    for (std::size_t i = 1; i < 4; ++i) EXPECT_TRUE(std::isnan(r.bits[i])) << i;
    EXPECT_EQ(r.flags, kNllBadTarget);
  }
}

TEST_F(Simt, NllRankCountsWhatLiesAbove) {
  Matrix m(LogitType::kFloat32, 3, 1000);
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t v = 0; v < 1000; ++v) m.set(i, v, static_cast<float>(v / 2));
  }
  m.targets = {998, 0, 501};
  EXPECT_EQ(run(m.rows()).rank, (std::vector<std::int32_t>{0, 998, 498}));
}

// ---- memory

TEST_F(Simt, NllReadsNeitherPaddingNorBeyondARow) {
  for (const LogitType type : kTypes) {
    for (const std::int64_t width : {1, 7, 250, 1024, 1025, 5003}) {
      for (const std::int64_t offset : {0, 1, 3}) {
        Matrix m(type, 3, width, 5, offset);
        m.fill(3.0F);
        for (const Ask ask : {Ask::kBits, Ask::kEverything}) {
          expect_reference(m.rows(), run(m.rows(), ask), 3e-6, "V = " + std::to_string(width));
        }
      }
    }
  }
}

TEST_F(Simt, NllOfARowDoesNotDependOnItsAlignment) {
  for (const LogitType type : kTypes) {
    for (const std::int64_t width : {37, 9000, 12345}) {
      Matrix aligned(type, 1, width);
      aligned.fill(3.0F);
      const Result expected = run(aligned.rows());
      for (std::int64_t offset = 1; offset < static_cast<std::int64_t>(16 / bytes_of(type)); ++offset) {
        Matrix m(type, 1, width, 0, offset);
        m.fill(3.0F);
        EXPECT_TRUE(run(m.rows()) == expected) << width << " columns, offset " << offset;
      }
    }
  }
}

TEST_F(Simt, NllOfARowDoesNotDependOnTheOthers) {
  Matrix all(LogitType::kBFloat16, 5, 2051, 0, 3);
  all.fill(3.0F);
  const Result together = run(all.rows());
  for (std::int64_t i = 0; i < 5; ++i) {
    NllRows one = all.rows();
    one.logits = static_cast<const char*>(one.logits) + 2 * i * one.stride;
    one.targets += i;
    one.n_rows = 1;
    const auto k = static_cast<std::size_t>(i);
    EXPECT_EQ(bits_of(run(one).bits[0]), bits_of(together.bits[k])) << i;
  }
}

TEST_F(Simt, NllFindsRowsBeyondTwoToTheThirtyOne) {
  constexpr std::int64_t kStride = (std::int64_t{1} << 31) + 24;
  constexpr std::int64_t kCols = 1500;
  const auto n_bytes = static_cast<std::size_t>(2 * (kStride + kCols));
  void* memory = mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) GTEST_SKIP() << "this machine does not lend 4 GiB of addresses";
  auto* logits = static_cast<std::uint16_t*>(memory);
  for (std::int64_t v = 0; v < kCols; ++v) {
    logits[v] = to_bfloat(static_cast<float>(v % 7));
    logits[kStride + v] = to_bfloat(static_cast<float>(v % 5));
  }
  const std::vector<std::int32_t> targets = {1, 2};
  const NllRows in{memory, LogitType::kBFloat16, nullptr, targets.data(), 2, kCols, kStride, 0, 1.0F, 0.0F};
  expect_reference(in, run(in, Ask::kBits), 2e-6, "far rows");
  munmap(memory, n_bytes);
}

TEST_F(Simt, NllReadsEachLogitOnce) {
  struct Case {
    LogitType type;
    std::int64_t n_cols;
  };
  std::vector<Case> cases;
  for (const std::int64_t n_cols : {32000, 50257, 128256, 151936, 256000}) {
    for (const LogitType type : kTypes) cases.push_back({type, n_cols});
  }
  for (const auto& [type, n_cols] : cases) {
    for (const std::int64_t offset : {0, 1}) {
      Matrix m(type, 1, n_cols, 0, offset);
      m.fill(1.0F);
      run(m.rows(), offset == 0 ? Ask::kBits : Ask::kEverything);
      const double row = static_cast<double>(n_cols) * static_cast<double>(bytes_of(type));
      const auto loaded = static_cast<double>(simt::counts().bytes_loaded);
      const auto wide = static_cast<double>(16 * simt::counts().wide_loads);
      EXPECT_GE(loaded, row);
      EXPECT_LE(loaded, 1.01 * row) << n_cols << " columns of " << bytes_of(type) << " bytes, offset " << offset;
      EXPECT_GE(wide, 0.9 * row) << "most of it in 16-byte loads";
      EXPECT_LE(simt::counts().bytes_stored, 32);
      std::printf("V = %6ld, %zu bytes, offset %ld: loaded %.4f of the row, %.4f in 16-byte loads, stored %ld bytes\n",
                  static_cast<long>(n_cols), bytes_of(type), static_cast<long>(offset), loaded / row, wide / row,
                  static_cast<long>(simt::counts().bytes_stored));
    }
  }
}

// ---- order

TEST_F(Simt, NllDependsNeitherOnScheduleNorOnGrid) {
  for (const LogitType type : kTypes) {
    Matrix m(type, 4, 9001);
    m.fill(3.0F);
    for (const Ask ask : {Ask::kBits, Ask::kEverything}) {
      const Result expected = run(m.rows(), ask);
      for (const simt::Schedule schedule : simt::kSchedules) {
        for (const std::int64_t n_blocks : {1, 3}) {
          EXPECT_TRUE(run(m.rows(), ask, schedule, n_blocks) == expected)
              << simt::name(schedule) << ", " << n_blocks << " blocks";
        }
      }
    }
  }
}

TEST_F(Simt, NllNeedsEachOfItsBarriers) {
  Matrix m(LogitType::kFloat32, 5, 3000);
  m.fill(3.0F);
  const Result expected = run(m.rows(), Ask::kBits, simt::Schedule::kAscending, 1);
  const std::set<simt::Site> barriers = simt::counts().barriers;
  EXPECT_EQ(barriers.size(), 2U);
  for (const simt::Site& site : barriers) {
    std::string noticed;
    for (const simt::Schedule schedule : simt::kSchedules) {
      simt::clear();
      Result r{std::vector<float>(5, -1.0F), {}, {}, {}};
      allow_rows(m.rows());
      simt::allow(r.bits.data(), 20);
      simt::options() = {.schedule = schedule, .seed = 3, .missing_barrier = &site};
      bool same = false;
      try {
        nll_rows(m.rows(), {r.bits.data(), nullptr, nullptr, nullptr, nullptr}, nullptr, 1);
        same = std::memcmp(r.bits.data(), expected.bits.data(), 20) == 0;
      } catch (const simt::SimtError&) {
      }
      if (!same) noticed += std::string(" ") + simt::name(schedule);
    }
    EXPECT_FALSE(noticed.empty()) << "nobody misses the barrier at " << site.file << ":" << site.line;
    std::printf("without the barrier at %s:%d:%s\n", site.file.c_str(), site.line, noticed.c_str());
  }
}

// ---- tiles

std::vector<NllRowState> tiled(const Matrix& m, const std::vector<std::int64_t>& cuts, simt::Schedule schedule) {
  simt::clear();
  simt::options().schedule = schedule;
  const NllRows all = m.rows();
  std::vector<NllRowState> state(static_cast<std::size_t>(all.n_rows));
  simt::allow(state.data(), all.n_rows * 16);
  nll_tile_init(state.data(), all.n_rows, nullptr);
  std::int64_t first = 0;
  for (const std::int64_t end : cuts) {
    const NllRows tile = m.tile(first, end);
    allow_rows(tile);
    nll_tile_update(tile, state.data(), nullptr);
    first = end;
  }
  return state;
}

TEST_F(Simt, TilesGiveTheBitsOfTheWholeRow) {
  for (const LogitType type : kTypes) {
    Matrix m(type, 5, 5001, 3, 1);
    m.fill(3.0F);
    m.targets[1] = 0;
    m.targets[2] = 5000;
    m.targets[3] = 5001;  // outside
    m.set(4, 4000, kNaN);
    std::vector<NllRowReference> expected(5);
    nll_rows_reference(m.rows(), expected.data(), nullptr);
    const std::vector<std::int64_t> begins = {0, 5};
    for (const auto& cuts : {std::vector<std::int64_t>{5001}, {2048, 4096, 5001}, {1, 2, 1000, 5000, 5001}}) {
      const std::vector<NllRowState> state = tiled(m, cuts, simt::Schedule::kAscending);
      for (const simt::Schedule schedule : simt::kSchedules) {
        const std::vector<NllRowState> again = tiled(m, cuts, schedule);
        EXPECT_EQ(std::memcmp(state.data(), again.data(), state.size() * sizeof state[0]), 0) << simt::name(schedule);
      }
      std::vector<float> bits(5);
      NllSum sum;
      std::uint32_t flags = 0;
      simt::clear();
      simt::allow(state.data(), 80);
      simt::allow(begins.data(), 16);
      simt::allow(bits.data(), 20);
      simt::allow(&sum, sizeof sum);
      simt::allow(&flags, 4);
      nll_merge_segsum({state.data(), 1, 5, begins.data(), 1}, bits.data(), &sum, &flags, nullptr);
      for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(bits[i], expected[i].bits, 3e-6 * expected[i].bits + 1e-6);
      EXPECT_TRUE(std::isnan(bits[3]) && std::isnan(bits[4]));
      EXPECT_EQ(flags, kNllBadTarget | kNllNotFinite);
      EXPECT_EQ(sum.first_bad, 3);
    }
  }
}

TEST_F(Simt, TilesAgreeWithTheirReference) {
  Matrix m(LogitType::kFloat32, 3, 4000);
  m.fill(5.0F);
  const std::vector<std::int64_t> cuts = {1500, 1501, 4000};
  const std::vector<NllRowState> state = tiled(m, cuts, simt::Schedule::kAscending);
  std::vector<NllStateReference> expected(3, {-kInf, 0.0, kNaN});
  std::int64_t first = 0;
  for (const std::int64_t end : cuts) {
    nll_tile_update_reference(m.tile(first, end), expected.data());
    first = end;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(state[i].max, expected[i].max, 1e-6 * std::fabs(expected[i].max));
    EXPECT_NEAR(state[i].sum, expected[i].sum, 2e-6 * expected[i].sum);
    EXPECT_NEAR(1.4426950408889634 * state[i].target, expected[i].target, 1e-6 * std::fabs(expected[i].target));
  }
}

// ---- merging and sums

struct Merged {
  std::vector<float> bits;
  std::vector<NllSum> sums;
  std::uint32_t flags = 0;
};

Merged merge(const std::vector<NllRowState>& states, std::int64_t n_parts, std::int64_t n_rows,
             const std::vector<std::int64_t>& begins, std::vector<float> bits,
             simt::Schedule schedule = simt::Schedule::kAscending, std::int64_t n_blocks = 0,
             const simt::Site* missing_barrier = nullptr) {
  simt::clear();
  simt::options() = {.schedule = schedule, .seed = 2, .missing_barrier = missing_barrier};
  Merged out{std::move(bits), std::vector<NllSum>(begins.size() - 1), 0};
  out.bits.resize(static_cast<std::size_t>(n_rows));
  simt::allow(states.data(), static_cast<std::int64_t>(states.size() * sizeof(NllRowState)));
  simt::allow(begins.data(), static_cast<std::int64_t>(begins.size() * 8));
  simt::allow(out.bits.data(), 4 * n_rows);
  simt::allow(out.sums.data(), static_cast<std::int64_t>(out.sums.size() * sizeof(NllSum)));
  simt::allow(&out.flags, 4);
  const NllMerge in{states.empty() ? nullptr : states.data(), n_parts, n_rows, begins.data(),
                    static_cast<std::int64_t>(begins.size()) - 1};
  nll_merge_segsum(in, out.bits.data(), out.sums.data(), &out.flags, nullptr, n_blocks);
  return out;
}

std::vector<float> random_bits(std::size_t n) {
  std::mt19937 random(5);
  std::exponential_distribution<float> costs(0.3F);
  std::vector<float> bits(n);
  for (float& b : bits) b = costs(random);
  return bits;
}

TEST_F(Simt, SegmentSumsAgreeWithTheReference) {
  std::vector<float> bits = random_bits(3000);
  bits[1500] = kInf;
  bits[1400] = kNaN;
  const std::vector<std::int64_t> begins = {0, 1, 1, 130, 1300, 2900, 3000};
  std::vector<NllSum> expected(begins.size() - 1);
  segment_sums_reference(bits.data(), begins.data(), 6, expected.data());
  const Merged got = merge({}, 0, 3000, begins, bits);
  for (std::size_t s = 0; s < expected.size(); ++s) {
    EXPECT_EQ(got.sums[s].n_rows, expected[s].n_rows);
    EXPECT_EQ(got.sums[s].first_bad, expected[s].first_bad);
    if (expected[s].first_bad >= 0) continue;
    EXPECT_NEAR(got.sums[s].bits, expected[s].bits, 1e-13 * expected[s].bits) << s;
    EXPECT_NEAR(got.sums[s].bits_squared, expected[s].bits_squared, 1e-13 * expected[s].bits_squared) << s;
  }
  EXPECT_EQ(got.sums[4].first_bad, 100);
}

TEST_F(Simt, SegmentSumsDependNeitherOnScheduleNorOnGridNorOnPlace) {
  const std::vector<float> bits = random_bits(2000);
  const std::vector<std::int64_t> begins = {0, 700, 701, 2000};
  const Merged expected = merge({}, 0, 2000, begins, bits);
  for (const simt::Schedule schedule : simt::kSchedules) {
    for (const std::int64_t n_blocks : {1, 2}) {
      const Merged got = merge({}, 0, 2000, begins, bits, schedule, n_blocks);
      EXPECT_EQ(std::memcmp(got.sums.data(), expected.sums.data(), sizeof(NllSum) * 3), 0) << simt::name(schedule);
    }
  }
  const Merged alone = merge({}, 0, 1299, {0, 1299}, {bits.begin() + 701, bits.end()});
  EXPECT_EQ(alone.sums[0].bits, expected.sums[2].bits);
}

TEST_F(Simt, SegmentSumsNeedEachOfTheirBarriers) {
  const std::vector<float> bits = random_bits(2000);
  const std::vector<std::int64_t> begins = {0, 700, 1400, 2000};
  const Merged expected = merge({}, 0, 2000, begins, bits, simt::Schedule::kAscending, 1);
  const std::set<simt::Site> barriers = simt::counts().barriers;
  EXPECT_EQ(barriers.size(), 2U);
  for (const simt::Site& site : barriers) {
    bool noticed = false;
    for (const simt::Schedule schedule : simt::kSchedules) {
      try {
        const Merged got = merge({}, 0, 2000, begins, bits, schedule, 1, &site);
        noticed = noticed || std::memcmp(got.sums.data(), expected.sums.data(), sizeof(NllSum) * 3) != 0;
      } catch (const simt::SimtError&) {
        noticed = true;
      }
    }
    EXPECT_TRUE(noticed) << "nobody misses the barrier at " << site.file << ":" << site.line;
  }
}

TEST_F(Simt, PartsOfTheVocabularyMerge) {
  constexpr std::int64_t kParts = 3, kRows = 150, kCols = 90;
  Matrix m(LogitType::kFloat32, kRows, kCols);
  m.fill(6.0F);
  std::vector<NllRowState> states;
  std::vector<NllStateReference> references;
  for (std::int64_t part = 0; part < kParts; ++part) {
    std::vector<NllStateReference> state(kRows, {-kInf, 0.0, kNaN});
    nll_tile_update_reference(m.tile(part * 30, part * 30 + 30), state.data());
    for (const NllStateReference& s : state) {
      references.push_back(s);
      states.push_back({static_cast<float>(s.max), static_cast<float>(s.sum),
                        static_cast<float>(s.target / 1.4426950408889634), 0.0F});
    }
  }
  const Merged got = merge(states, kParts, kRows, {0, 150}, {});
  for (std::int64_t i = 0; i < kRows; ++i) {
    const NllStateReference parts[] = {references[static_cast<std::size_t>(i)],
                                       references[static_cast<std::size_t>(kRows + i)],
                                       references[static_cast<std::size_t>(2 * kRows + i)]};
    const double expected = nll_bits_reference(parts, kParts);
    EXPECT_NEAR(got.bits[static_cast<std::size_t>(i)], expected, 3e-6 * std::max(1.0, expected));
  }
  EXPECT_EQ(got.flags, 0U);
}

// ---- refused input

TEST_F(Simt, WhatNoKernelCanTakeIsRefused) {
  Matrix m(LogitType::kFloat16, 2, 10);
  m.fill(1.0F);
  float bits[2];
  NllRowState state[2];
  const auto refused = [&](auto change) {
    NllRows in = m.rows();
    change(in);
    EXPECT_THROW(nll_rows(in, {bits, nullptr, nullptr, nullptr, nullptr}, nullptr), std::logic_error);
  };
  refused([](NllRows& in) { in.n_rows = -1; });
  refused([](NllRows& in) { in.n_cols = 0; });
  refused([](NllRows& in) { in.stride = 9; });
  refused([](NllRows& in) { in.scale = 0.0F; });
  refused([](NllRows& in) { in.scale = kNaN; });
  refused([](NllRows& in) { in.softcap = -1.0F; });
  refused([](NllRows& in) { in.logits = nullptr; });
  refused([](NllRows& in) { in.targets = nullptr; });
  refused([](NllRows& in) { in.logits = static_cast<const char*>(in.logits) + 1; });
  refused([](NllRows& in) { in.first_col = 1; });
  refused([](NllRows& in) { in.type = static_cast<LogitType>(9); });
  EXPECT_THROW(nll_tile_update(m.rows(), nullptr, nullptr), std::logic_error);
  EXPECT_THROW(nll_merge_segsum({state, 0, 2, nullptr, 0}, bits, nullptr, nullptr, nullptr), std::logic_error);
  NllRows none = m.rows();
  none.n_rows = 0;
  nll_rows(none, {bits, nullptr, nullptr, nullptr, nullptr}, nullptr);  // nothing to do, nothing read
}

}  // namespace
}  // namespace lmbits::kernels
