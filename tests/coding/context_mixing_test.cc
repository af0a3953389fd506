#include "src/coding/context_mixing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "src/coding/baselines.h"
#include "src/core/file.h"

namespace lmbits {
namespace {

std::string held_out(const std::string& name) {
  return read_file(std::string(std::getenv("LMBITS_SOURCE_DIR")) + "/models/heldout/" + name);
}

std::string compressed(const std::string& bytes, int table_bits = 18) {
  ContextMixer model(table_bits);
  RangeEncoder encoder;
  encode_bytes(model, bytes, encoder);
  return encoder.finish();
}

void expect_comes_back(const std::string& bytes, int table_bits = 12) {
  const std::string small = compressed(bytes, table_bits);
  ContextMixer model(table_bits);
  RangeDecoder decoder(small);
  EXPECT_EQ(decode_bytes(model, bytes.size(), decoder), bytes);
}

TEST(ContextMixing, EveryTextComesBack) {
  std::mt19937 random(1);
  expect_comes_back("");
  expect_comes_back("a");
  expect_comes_back(std::string(5000, '\0'));
  expect_comes_back(held_out("code.txt").substr(0, 20000));
  for (int i = 0; i < 30; ++i) {
    std::string bytes(random() % 3000, '\0');
    const unsigned alphabet = 1 + random() % 256;
    for (char& byte : bytes) byte = static_cast<char>(random() % alphabet);
    if (i % 3 == 0) bytes += bytes;  // a match that runs over half of it
    expect_comes_back(bytes, 4 + i % 12);
  }
}

TEST(ContextMixing, ProbabilitiesStayInside) {
  ContextMixer model(10);
  std::mt19937 random(2);
  for (int i = 0; i < 200000; ++i) {
    ASSERT_GE(model.p_one(), 1U);
    ASSERT_LT(model.p_one(), 1U << 16);
    model.update(i < 100000 ? true : random() % 2 == 0);
  }
}

// What a strong classical reference must show: ahead of every general-purpose codec on prose, code and notation.
TEST(ContextMixing, IsAheadOfTheOtherCodecs) {
  for (const char* name : {"prose.txt", "code.txt", "maths.txt"}) {
    const std::string text = held_out(name);
    const auto size = static_cast<std::int64_t>(compressed(text, 22).size());
    std::printf("%s: %.4f bits/byte\n", name, 8.0 * static_cast<double>(size) / static_cast<double>(text.size()));
    for (const BaselineCodec& codec : baseline_codecs())
      EXPECT_LT(size, compressed_size(codec, text)) << name << " " << codec.name;
  }
}

TEST(ContextMixing, NoiseCostsLittleMoreThanItself) {
  std::mt19937 random(3);
  std::string noise(50000, '\0');
  for (char& byte : noise) byte = static_cast<char>(random());
  EXPECT_LT(compressed(noise).size(), 51000U);
  EXPECT_LT(compressed(std::string(100000, 'x')).size(), 300U);
}

}  // namespace
}  // namespace lmbits
