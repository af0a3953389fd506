#include "src/scoring/record_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/core/json.h"

namespace lmbits {
namespace {

constexpr std::int64_t kWindows = 9;

DocumentRecord blank() {
  DocumentRecord record;
  record.id = "d";
  record.block_bytes = 4096;
  record.block_bits.assign(4, 0.0);
  return record;
}

std::vector<double> bits_of(std::int64_t window) {
  std::vector<double> bits;
  for (int i = 0; i < 7; ++i) bits.push_back(std::sqrt(2.0 + static_cast<double>(window * 7 + i)) * 1e3);
  return bits;
}

std::vector<std::int32_t> blocks_of(std::int64_t window) {
  return std::vector<std::int32_t>(7, static_cast<std::int32_t>(window / 3));
}

DocumentRecord folded(const std::vector<std::int64_t>& order) {
  RecordBuilder builder(blank(), kWindows);
  for (std::size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(builder.fold(order[i], bits_of(order[i]), blocks_of(order[i]), 11), i + 1 == order.size());
  }
  return builder.record();
}

void expect_same(const DocumentRecord& a, const DocumentRecord& b) {
  EXPECT_EQ(a.bits, b.bits);  // to the last bit
  EXPECT_EQ(a.bits_squared, b.bits_squared);
  EXPECT_EQ(a.block_bits, b.block_bits);
  EXPECT_EQ(a.n_scored, b.n_scored);
  EXPECT_EQ(a.n_forward, b.n_forward);
}

TEST(RecordBuilder, OrderOfArrivalChangesNothing) {
  std::vector<std::int64_t> order(kWindows);
  for (std::int64_t i = 0; i < kWindows; ++i) order[static_cast<std::size_t>(i)] = i;
  const DocumentRecord expected = folded(order);
  EXPECT_EQ(expected.n_scored, 7 * kWindows);
  for (int round = 0; round < 50; ++round) {
    std::next_permutation(order.begin(), order.end());
    if (round % 2) std::reverse(order.begin(), order.end());
    expect_same(folded(order), expected);
  }
}

TEST(RecordBuilder, BlocksAddUpToTheDocument) {
  const DocumentRecord record = folded({0, 1, 2, 3, 4, 5, 6, 7, 8});
  double sum = 0.0;
  for (const double bits : record.block_bits) sum += bits;
  EXPECT_NEAR(sum, record.bits, 1e-9 * record.bits);
  EXPECT_EQ(record.block_bits[3], 0.0);
}

TEST(RecordBuilder, CheckpointContinuesToTheLastBit) {
  const DocumentRecord expected = folded({0, 1, 2, 3, 4, 5, 6, 7, 8});
  for (std::int64_t cut = 0; cut < kWindows; ++cut) {
    RecordBuilder first(blank(), kWindows);
    for (std::int64_t k = 0; k < cut; ++k) first.fold(k, bits_of(k), blocks_of(k), 11);
    RecordBuilder second(blank(), kWindows);
    second.restore(Json::parse(first.checkpoint().dump()));
    for (std::int64_t k = second.next_window(); k < kWindows; ++k) second.fold(k, bits_of(k), blocks_of(k), 11);
    expect_same(second.record(), expected);
  }
}

TEST(RecordBuilder, ABitThatIsNoNumberFailsTheDocumentAndNamesTheToken) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    RecordBuilder builder(blank(), 2);
    builder.fold(0, bits_of(0), blocks_of(0), 11);
    std::vector<double> bits = bits_of(1);
    bits[4] = bad;
    builder.fold(1, bits, blocks_of(1), 11);
    EXPECT_NE(builder.record().error.find("token 11"), std::string::npos) << builder.record().error;
  }
}

}  // namespace
}  // namespace lmbits
