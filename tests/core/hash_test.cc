#include "src/core/hash.h"

#include <gtest/gtest.h>

#include <random>

namespace lmbits {
namespace {

std::string random_bytes(std::size_t n, std::mt19937& random) {
  std::string bytes(n, '\0');
  for (char& c : bytes) c = static_cast<char>(random() & 0xff);
  return bytes;
}

TEST(Crc32c, MatchesTheTestVectorsOfRfc3720) {  // appendix B.4, and the customary check value
  std::string ascending(32, '\0'), descending(32, '\0');
  for (int i = 0; i < 32; ++i) {
    ascending[static_cast<std::size_t>(i)] = static_cast<char>(i);
    descending[static_cast<std::size_t>(i)] = static_cast<char>(31 - i);
  }
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(ascending), 0x46dd794eu);
  EXPECT_EQ(crc32c(descending), 0x113fdb5cu);
}

TEST(Crc32c, TheInstructionAgreesWithTheTableAtEveryLengthAndAlignment) {
  std::mt19937 random(1);
  const std::string bytes = random_bytes(200, random);
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t n = 0; begin + n <= bytes.size(); ++n) {
      const std::string_view part(bytes.data() + begin, n);
      ASSERT_EQ(crc32c(part), crc32c_table(part)) << begin << " " << n;
    }
  }
}

TEST(Crc32c, SeesEverySingleFlippedBit) {
  std::mt19937 random(2);
  std::string bytes = random_bytes(100, random);
  const std::uint32_t crc = crc32c(bytes);
  for (std::size_t i = 0; i < 8 * bytes.size(); ++i) {
    const char mask = static_cast<char>(1 << (i % 8));
    bytes[i / 8] = static_cast<char>(bytes[i / 8] ^ mask);
    ASSERT_NE(crc32c(bytes), crc);
    bytes[i / 8] = static_cast<char>(bytes[i / 8] ^ mask);
  }
}

TEST(Crc32c, HexKeepsLeadingZeros) {
  EXPECT_EQ(crc32c_hex("123456789"), "e3069283");
  EXPECT_EQ(crc32c_hex(""), "00000000");
}

TEST(Fingerprint, IsXxh3OfTheBytes) {  // as `xxhsum -H2` prints it
  EXPECT_EQ(Fingerprint().hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Fingerprint().add("").add("").hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Fingerprint().add("a").hex(), "a96faf705af16834e6c632b61e964e1f");
}

TEST(Fingerprint, DoesNotDependOnHowTheBytesWereCut) {
  std::mt19937 random(3);
  const std::string bytes = random_bytes(5000, random);
  const std::string whole = Fingerprint().add(bytes).hex();
  for (const std::size_t step : {1, 7, 64, 255, 256, 1024, 4999}) {
    Fingerprint parts;
    for (std::size_t at = 0; at < bytes.size(); at += step) parts.add(std::string_view(bytes).substr(at, step));
    EXPECT_EQ(parts.hex(), whole) << step;
  }
}

TEST(Fingerprint, CanBeReadWhileItGrows) {
  Fingerprint growing;
  growing.add("a");
  EXPECT_EQ(growing.hex(), Fingerprint().add("a").hex());
  growing.add("b");
  EXPECT_EQ(growing.hex(), Fingerprint().add("ab").hex());
}

}  // namespace
}  // namespace lmbits
