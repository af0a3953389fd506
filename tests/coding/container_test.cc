#include "src/coding/container.h"

#include <gtest/gtest.h>

#include <random>

#include "src/core/error.h"
#include "src/core/hash.h"

namespace lmbits {
namespace {

Container sample(std::int64_t n_blocks, std::int64_t block_bytes = 100) {
  Container container;
  container.info = {{"model", "m"}, {"fingerprint", "0123"}};
  container.block_bytes = block_bytes;
  container.n_bytes = n_blocks == 0 ? 0 : (n_blocks - 1) * block_bytes + 7;
  container.fingerprint = Fingerprint().add("x").hex();
  std::mt19937 random(5);
  for (std::int64_t i = 0; i < n_blocks; ++i) {
    std::string payload(random() % 300, '\0');
    for (char& byte : payload) byte = static_cast<char>(random());
    container.blocks.push_back({static_cast<std::uint32_t>(random()), payload});
  }
  return container;
}

TEST(Container, ComesBack) {
  for (const std::int64_t n : {0, 1, 2, 50}) {
    const Container written = sample(n), read = read_container(write_container(written), "x.lmb");
    EXPECT_EQ(read.info, written.info);
    EXPECT_EQ(read.n_bytes, written.n_bytes);
    EXPECT_EQ(read.block_bytes, written.block_bytes);
    EXPECT_EQ(read.fingerprint, written.fingerprint);
    ASSERT_EQ(read.blocks.size(), written.blocks.size());
    for (std::size_t i = 0; i < read.blocks.size(); ++i) {
      EXPECT_EQ(read.blocks[i].payload, written.blocks[i].payload);
      EXPECT_EQ(read.blocks[i].original_crc, written.blocks[i].original_crc);
    }
  }
}

TEST(Container, BlocksAreCutAsStated) {
  EXPECT_EQ(n_container_blocks(0, 10), 0);
  EXPECT_EQ(n_container_blocks(1, 10), 1);
  EXPECT_EQ(n_container_blocks(10, 10), 1);
  EXPECT_EQ(n_container_blocks(11, 10), 2);
  EXPECT_EQ(n_container_blocks(11, 0), 1);
  const Container container = sample(3);
  EXPECT_EQ(container_block_bytes(container, 1), 100);
  EXPECT_EQ(container_block_bytes(container, 2), 7);
}

TEST(Container, EveryCutAndEveryFlippedBitIsRefused) {
  const std::string bytes = write_container(sample(4));
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_THROW(read_container(bytes.substr(0, n), "x"), Error) << n;
  EXPECT_THROW(read_container(bytes + '\0', "x"), Error);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_THROW(read_container(flipped, "x"), Error) << "bit " << bit;
  }
}

// Several bytes at once, pieces moved, repeated, cut out: 10,000 of them, none of which may pass for a container.
TEST(Container, TenThousandMutationsAreRefused) {
  const std::string bytes = write_container(sample(6));
  std::mt19937 random(7);
  int n_same = 0;
  for (int i = 0; i < 10000; ++i) {
    std::string mutant = bytes;
    for (unsigned k = 0; k <= random() % 4; ++k) {
      const std::size_t at = random() % mutant.size(), n = random() % 40;
      switch (random() % 4) {
        case 0:
          mutant[at] = static_cast<char>(random());
          break;
        case 1:
          mutant.erase(at, n);
          break;
        case 2:
          mutant.insert(at, bytes.substr(random() % bytes.size(), n));
          break;
        default:
          mutant.replace(at, n, std::string(n, static_cast<char>(random())));
      }
      if (mutant.empty()) mutant = "x";
    }
    if (mutant == bytes) {
      ++n_same;
      continue;
    }
    EXPECT_THROW(read_container(mutant, "x"), Error) << "mutation " << i;
  }
  EXPECT_LT(n_same, 100);
}

std::string with_checksum(std::string bytes, std::size_t n_front) {
  const std::uint32_t crc = crc32c(std::string_view(bytes).substr(0, n_front));
  for (std::size_t i = 0; i < 4; ++i) bytes[n_front + i] = static_cast<char>(crc >> (8 * i));
  return bytes;
}

// A right checksum over nonsense: a program's mistake or a forgery, still an error.
TEST(Container, NonsenseWithARightChecksumIsRefused) {
  const std::string bytes = write_container(sample(3));
  std::size_t n_payloads = 0;
  for (const ContainerBlock& block : sample(3).blocks) n_payloads += block.payload.size();
  const std::size_t n_front = bytes.size() - 4 - n_payloads;
  ASSERT_EQ(with_checksum(bytes, n_front), bytes);
  std::mt19937 random(8);
  int n_refused = 0;
  for (int i = 0; i < 10000; ++i) {
    std::string mutant = bytes;
    for (unsigned k = 0; k <= random() % 3; ++k) mutant[24 + random() % (n_front - 24)] = static_cast<char>(random());
    try {
      read_container(with_checksum(mutant, n_front), "x");
    } catch (const Error&) {
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 5000);
}

TEST(Container, SaysWhatIsWrong) {
  const std::string bytes = write_container(sample(2));
  const auto message = [](const std::string& text) -> std::string {
    try {
      read_container(text, "x.lmb");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message("PK\3\4 and so on"), "x.lmb: this is no file that lmbits compress wrote");
  EXPECT_EQ(message(bytes.substr(0, 5)), "x.lmb: it is cut off");
  EXPECT_EQ(message(bytes.substr(0, bytes.size() - 1)), "x.lmb: it is cut off in block 1 of 2");
  std::string newer = bytes;
  newer[8] = 4;
  EXPECT_EQ(message(newer), "x.lmb is of version 4, this program reads 3 (or its first bytes are damaged)");
}

TEST(Varint, ComesBackAndEndsInTime) {
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{127}, std::uint64_t{128}, std::uint64_t{1} << 35, ~std::uint64_t{0}}) {
    std::string bytes;
    append_varint(bytes, value);
    std::string_view rest = bytes;
    EXPECT_EQ(take_varint(rest, "x"), value);
    EXPECT_TRUE(rest.empty());
  }
  for (const std::string& bad :
       {std::string(), std::string("\x80"), std::string(10, '\xff'), std::string(11, '\x80')}) {
    std::string_view rest = bad;
    EXPECT_THROW(take_varint(rest, "x"), Error);
  }
}

}  // namespace
}  // namespace lmbits
