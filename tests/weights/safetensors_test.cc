#include "src/weights/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "src/core/error.h"
#include "src/core/json.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

std::string safetensors(const std::string& header, const std::string& data) {
  std::string file(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + data;
}

class Safetensors : public ::testing::Test {
 protected:
  SafetensorsFile open(const std::string& bytes) const {
    std::ofstream(folder_ / "m.safetensors", std::ios::binary) << bytes;
    return SafetensorsFile(folder_ / "m.safetensors");
  }
  std::string problem(const std::string& bytes) const {
    try {
      open(bytes);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kModel);
      return e.what();
    }
    return {};
  }
  void expect_refused(const std::string& header, const std::string& data, const std::string& why) const {
    const std::string found = problem(safetensors(header, data));
    EXPECT_NE(found.find(why), std::string::npos) << header << "\n  gives: " << found;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(Safetensors, NamesShapesAndBytesAreThoseOfTheFile) {
  const auto file = open(safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[3],"data_offsets":[8,14]},)"
      R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"none":{"dtype":"BF16","shape":[0,5],"data_offsets":[8,8]},)"
      R"("one":{"dtype":"I64","shape":[],"data_offsets":[14,22]}}   )",
      "aaaabbbbccddee12345678"));
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors().at("a").bytes, "aaaabbbb");
  EXPECT_EQ(file.tensors().at("b").bytes, "ccddee");
  EXPECT_EQ(file.tensors().at("b").dtype, "F16");
  EXPECT_EQ(file.tensors().at("one").bytes, "12345678");
  EXPECT_EQ(shape_text(file.tensors().at("a").shape), "[2, 1]");
  EXPECT_EQ(shape_text(file.tensors().at("none").shape), "[0, 5]");
  EXPECT_EQ(shape_text({}), "[]");
  file.release();
  EXPECT_EQ(file.tensors().at("a").bytes, "aaaabbbb");
}

TEST_F(Safetensors, WhatDoesNotFitTheFileIsRefusedByName) {
  const std::string eight = "12345678";
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", eight + "9", "1 bytes of its data");
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "1234567",
                 "tensor a: its bytes are [0,8]");
  expect_refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", eight, "F32 [3] does not take 8 bytes");
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", eight, "tensor a: its bytes are [8,0]");
  expect_refused(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", eight, "`shape` is [-2]");
  expect_refused(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", eight, "`shape` is [2.0]");
  expect_refused(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", eight, "`shape` is no list");
  expect_refused(R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", eight, "the dtype F33 is not known");
  expect_refused(R"({"a":{"dtype":"F32","shape":[2]}})", eight, "it has no `data_offsets`");
  expect_refused(R"({"a":7})", eight, "it has no `dtype`");
  expect_refused(R"([])", "", "no JSON object");
  expect_refused(R"({"a":)", "", "no JSON");
  // 2^62 * 4 bytes and 2^32 * 2^32 elements do not fit 64 bits; neither may become a small number.
  expect_refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", "",
                 "does not take 0 bytes");
  expect_refused(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", "", "does not take 0");
  expect_refused(R"({"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0]}})", "", "`shape` is");
}

TEST_F(Safetensors, OverlapsGapsAndTwinsAreRefused) {
  const auto two = [](const char* a, const char* b) {
    return std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + a +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
  };
  EXPECT_EQ(problem(safetensors(two("[0,4]", "[4,8]"), "12345678")), "");
  expect_refused(two("[0,4]", "[2,6]"), "123456", "tensor b begins at 2, what is before it ends at 4");
  expect_refused(two("[0,4]", "[0,4]"), "1234", "begins at 0");
  expect_refused(two("[0,4]", "[5,9]"), "123456789", "tensor b begins at 5");
  expect_refused(two("[1,5]", "[5,9]"), "123456789", "tensor a begins at 1");
  expect_refused(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      "1", "names \"a\" twice");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", "1", "names \"shape\" twice");
}

TEST_F(Safetensors, HeadersThatAreNoneAreRefused) {
  EXPECT_NE(problem("").find("fewer than 8 bytes"), std::string::npos);
  EXPECT_NE(problem("1234567").find("fewer than 8 bytes"), std::string::npos);
  EXPECT_NE(problem(std::string(8, '\xff')).find("its header would have 18446744073709551615 bytes"),
            std::string::npos);
  EXPECT_NE(problem(std::string(8, '\0')).find("no JSON"), std::string::npos);
  EXPECT_NE(problem(safetensors(std::string(100000, '['), "")).find("nested deeper"), std::string::npos);
  EXPECT_THROW(SafetensorsFile(folder_ / "nothing.safetensors"), Error);
  EXPECT_THROW(SafetensorsFile(folder_.path()), Error);
}

// What a file says after damage is refused or true: every view lies inside the file, and its length is its shape's.
void expect_sound(const SafetensorsFile& file) {
  const std::map<std::string, std::size_t> sizes = {{"F32", 4}, {"F16", 2}, {"I64", 8}, {"U8", 1},  {"BF16", 2},
                                                    {"F64", 8}, {"I32", 4}, {"I8", 1},  {"U16", 2}, {"I16", 2},
                                                    {"U32", 4}, {"U64", 8}, {"BOOL", 1}};
  std::size_t total = 0;
  for (const auto& [name, t] : file.tensors()) {
    ASSERT_GE(t.bytes.data(), file.bytes().data());
    ASSERT_LE(t.bytes.data() + t.bytes.size(), file.bytes().data() + file.bytes().size());
    std::size_t n = sizes.contains(t.dtype) ? sizes.at(t.dtype) : 1;
    for (const std::int64_t extent : t.shape) n *= static_cast<std::size_t>(extent);
    ASSERT_TRUE(!sizes.contains(t.dtype) || n == t.bytes.size()) << name;
    total += t.bytes.size();
  }
  ASSERT_LT(total, file.bytes().size());
}

TEST_F(Safetensors, DamagedFilesAreRefusedOrSound) {
  Json header;
  std::string data;
  for (const auto& [name, dtype, size] :
       {std::tuple{"w", "F32", 4}, {"v", "F16", 2}, {"ids", "I64", 8}, {"m", "U8", 1}}) {
    const std::size_t begin = data.size(), n = 6 * static_cast<std::size_t>(size);
    data += std::string(n, 'x');
    header[name] = {{"dtype", dtype}, {"shape", {2, 3}}, {"data_offsets", {begin, begin + n}}};
  }
  const std::string whole = safetensors(header.dump(), data);
  ASSERT_EQ(problem(whole), "");
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(problem(whole.substr(0, length)), "") << length;
  std::mt19937 random(1);
  int n_refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string file = whole;
    for (auto n = random() % 3 + 1; n > 0; --n) {
      const std::size_t at = random() % (whole.size() - data.size());
      const char* digits = "0123456789[]{},:\"";
      file[at] = i % 2 == 0 ? digits[random() % 17] : static_cast<char>(random());
    }
    try {
      expect_sound(open(file));
    } catch (const Error&) {
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 1100);
}

}  // namespace
}  // namespace lmbits
