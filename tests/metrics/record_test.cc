#include "src/metrics/record.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

DocumentRecord make_record(const std::string& id, double bits = 0.0, const std::string& error = "") {
  DocumentRecord record;
  record.id = id;
  record.bits = bits;
  record.error = error;
  return record;
}

DocumentRecord full_record() {
  DocumentRecord record;
  record.id = "novel/chapter 1";
  record.n_bytes = 10001;
  record.n_chars = 9000;
  record.n_tokens = 3000;
  record.n_scored = 2999;
  record.n_forward = 4500;
  record.n_words = 321;
  record.bits_squared = 9876.5432109876543;
  record.bits = 12345.678;
  record.lossless = false;
  record.block_bytes = 4096;
  record.block_bits = {5000.5, 5000.25, 2344.928};
  record.baselines = {{"gzip-9", 3210}, {"xz-9e", 3000}};
  return record;
}

void expect_equal(const DocumentRecord& a, const DocumentRecord& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.n_bytes, b.n_bytes);
  EXPECT_EQ(a.n_chars, b.n_chars);
  EXPECT_EQ(a.n_tokens, b.n_tokens);
  EXPECT_EQ(a.n_scored, b.n_scored);
  EXPECT_EQ(a.n_forward, b.n_forward);
  EXPECT_EQ(a.n_words, b.n_words);
  EXPECT_EQ(a.bits_squared, b.bits_squared);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(a.bits), std::bit_cast<std::uint64_t>(b.bits));
  EXPECT_EQ(a.lossless, b.lossless);
  EXPECT_EQ(a.error, b.error);
  EXPECT_EQ(a.block_bytes, b.block_bytes);
  EXPECT_EQ(a.block_bits, b.block_bits);
  EXPECT_EQ(a.baselines, b.baselines);
}

DocumentRecord through_text(const DocumentRecord& record) {
  return record_from_json(Json::parse(to_json(record).dump()));
}

TEST(Record, ReadsBackAsItWasWritten) {
  expect_equal(through_text(full_record()), full_record());
  DocumentRecord failed = full_record();
  failed.error = "tokenizer: cannot encode";
  failed.bits = failed.bits_squared = 0.0;
  expect_equal(through_text(failed), failed);
  expect_equal(through_text(make_record("")), make_record(""));
}

TEST(Record, HoldsTheKeysOtherProgramsRelyOn) {
  const Json json = to_json(full_record());
  for (const char* key : {"id", "n_bytes", "n_chars", "n_tokens", "n_scored", "bits", "baselines", "status"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["status"], "ok");
  EXPECT_EQ(json["baselines"]["gzip-9"], 3210);
}

TEST(Record, FailedDocumentsHaveNoBits) {
  const Json json = to_json(make_record("a", 0.0, "no"));
  EXPECT_EQ(json["status"], "failed");
  EXPECT_EQ(json["error"], "no");
  EXPECT_TRUE(json["bits"].is_null());
}

TEST(Record, DoublesReadBackToTheLastBit) {
  std::mt19937_64 random(1);
  DocumentRecord record = make_record("a");
  record.block_bytes = 4096;
  const auto both = [&](double x) {
    record.block_bits.push_back(x);
    record.block_bits.push_back(-x);
  };
  for (const double x : {0.0, 1.0, 0.1, 1.0 / 3, 1e22, 1e23, 9007199254740993.0, 5e-324, 2.2250738585072014e-308,
                         std::numeric_limits<double>::max()}) {
    both(x);
  }
  while (record.block_bits.size() < 100'000) {
    if (const double x = std::bit_cast<double>(random()); std::isfinite(x)) both(x);
    both(std::ldexp(static_cast<double>(random() >> 11), -33));  // the size of real totals
  }
  const DocumentRecord back = through_text(record);
  ASSERT_EQ(back.block_bits.size(), record.block_bits.size());
  for (std::size_t i = 0; i < back.block_bits.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint64_t>(back.block_bits[i]), std::bit_cast<std::uint64_t>(record.block_bits[i]))
        << record.block_bits[i];
  }
}

TEST(Record, AnyBytesMakeAnId) {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
  for (const std::string& id : {every_byte, std::string("caf\xe9.txt"), std::string("café \xF0\x9F\x8D\xB5\n\"\\"),
                                std::string("\xEF\xBF\xBD"), std::string("a\0b", 3), std::string("\xED\xA0\x80")}) {
    EXPECT_EQ(through_text(make_record(id)).id, id);
  }
  EXPECT_FALSE(to_json(make_record("café")).contains("id_hex")) << "only what is not UTF-8 needs it";
  EXPECT_NO_THROW(to_json(make_record("a", 0.0, "\xff")).dump());
}

// Names the wrong key in the message.
void expect_refused(const Json& json, const std::string& key) {
  try {
    record_from_json(json);
    ADD_FAILURE() << "accepted: " << json.dump();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    EXPECT_NE(std::string(e.what()).find("`" + key), std::string::npos) << e.what();
  }
}

TEST(Record, EveryMissingKeyIsNamed) {
  const Json good = to_json(full_record());
  for (const auto& [key, value] : good.items()) {
    if (key == "block_bytes") continue;  // without it there are no blocks
    Json json = good;
    json.erase(key);
    expect_refused(json, key);
  }
}

TEST(Record, EveryWrongValueIsNamed) {
  const Json good = to_json(full_record());
  const auto with = [&](const std::string& key, const Json& value) {
    Json json = good;
    json[key] = value;
    return json;
  };
  for (const auto& [key, value] : good.items()) expect_refused(with(key, Json(nullptr)), key);
  for (const char* key : {"n_bytes", "n_chars", "n_tokens", "n_scored", "n_forward", "n_words", "block_bytes"}) {
    for (const Json& value : {Json(-1), Json(1.5), Json("1"), Json(std::uint64_t{1} << 63)}) {
      expect_refused(with(key, value), key);
    }
  }
  expect_refused(with("bits", "1.0"), "bits");
  expect_refused(with("status", "fine"), "status");
  expect_refused(with("status", "failed"), "error");
  expect_refused(with("block_bits", Json::array({1.0, nullptr})), "block_bits");
  expect_refused(with("baselines", {{"gzip-9", -3}}), "baselines.gzip-9");
  expect_refused(with("id_hex", "0g"), "id_hex");
  EXPECT_THROW(record_from_json(Json::array()), Error);
}

TEST(Record, UndefinedBitsAreNeverWritten) {
  for (const double bits : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(to_json(make_record("a", bits)), std::logic_error);
    DocumentRecord record = full_record();
    record.block_bits[1] = bits;
    EXPECT_THROW(to_json(record), std::logic_error);
  }
}

TEST(Blocks, AreTheSmallestThatNeedNoMoreThan1024) {
  std::vector<std::int64_t> sizes = {0, 1};
  for (std::int64_t n = 1; n < 40'000'000; n += n / 50 + 1) sizes.push_back(n);
  for (std::int64_t full = 1024 * 4096; full < 1'000'000'000'000; full *= 2) {  // where the block size changes
    for (const std::int64_t n : {full - 1, full, full + 1}) sizes.push_back(n);
  }
  for (const std::int64_t n_bytes : sizes) {
    const std::int64_t block = block_bytes_for(n_bytes);
    const auto blocks_of = [&](std::int64_t size) { return (n_bytes + size - 1) / size; };
    ASSERT_EQ(block % 4096, 0);
    ASSERT_TRUE(std::has_single_bit(static_cast<std::uint64_t>(block)));
    ASSERT_LE(blocks_of(block), 1024) << n_bytes;
    ASSERT_TRUE(block == 4096 || blocks_of(block / 2) > 1024) << n_bytes;
  }
}

TEST(Total, AddsUpTheScoredDocumentsAndCountsTheOthers) {
  std::vector<DocumentRecord> records(3, full_record());
  records[1].error = "no";
  const Totals totals = total(records);
  EXPECT_EQ(totals.n_documents, 2);
  EXPECT_EQ(totals.n_failed, 1);
  EXPECT_EQ(totals.n_lossy, 2);
  EXPECT_EQ(totals.n_bytes, 20002);
  EXPECT_EQ(totals.n_chars, 18000);
  EXPECT_EQ(totals.n_tokens, 6000);
  EXPECT_EQ(totals.n_scored, 5998);
  EXPECT_EQ(totals.n_forward, 9000);
  EXPECT_DOUBLE_EQ(totals.bits, 24691.356);
  EXPECT_DOUBLE_EQ(*totals.bits_per_byte(), 24691.356 / 20002);
  EXPECT_DOUBLE_EQ(*totals.bits_per_char(), 24691.356 / 18000);
  EXPECT_DOUBLE_EQ(*totals.bits_per_token(), 24691.356 / 5998);
  EXPECT_DOUBLE_EQ(*totals.ratio() * *totals.bits_per_byte(), 8.0);
}

TEST(Total, RatesOfNothingAreUndefined) {
  DocumentRecord unscored = full_record();  // bytes, but too short for the convention's window
  unscored.n_scored = 0;
  unscored.bits = 0.0;
  for (const auto& records : {std::vector<DocumentRecord>{}, {make_record("empty")}, {unscored}}) {
    const Totals totals = total(records);
    EXPECT_EQ(totals.bits_per_byte(), std::nullopt);
    EXPECT_EQ(totals.bits_per_char(), std::nullopt);
    EXPECT_EQ(totals.bits_per_token(), std::nullopt);
    EXPECT_EQ(totals.ratio(), std::nullopt);
  }
}

TEST(Total, LosesNothingToRounding) {
  // Each term is k/8, far below the last bit of the large one that comes first and is taken back at the end.
  std::vector<DocumentRecord> records;
  const auto add = [&](double bits) { records.push_back(make_record("x", bits)); };
  double small = 0.0;
  add(1e18);
  for (int k = 0; k < 1000; ++k) {
    add(k / 8.0);
    small += k / 8.0;
  }
  add(-1e18);
  EXPECT_EQ(total(records).bits, small);
}

TEST(Total, OfATermLargerThanTheSumSoFarLosesNothingEither) {
  std::vector<DocumentRecord> records;
  for (const double bits : {1.0, 1e100, 1.0, -1e100}) records.push_back(make_record("x", bits));
  EXPECT_EQ(total(records).bits, 2.0);
}

}  // namespace
}  // namespace lmbits
