#include "src/coding/baselines.h"

#include <brotli/decode.h>
#include <bzlib.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "src/coding/context_mixing.h"
#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

// Of 3000 made-up words: a text of few words has matches everywhere, which the slow codecs take minutes to choose from.
std::string words(std::size_t n_bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < n_bytes) {
    std::minstd_rand spelling(1 + random() % 3000);
    for (std::size_t length = 2 + spelling() % 8; length > 0; --length)
      text.push_back(static_cast<char>('a' + spelling() % 26));
    text.push_back(' ');
  }
  text.resize(n_bytes);
  return text;
}

std::string noise(std::size_t n_bytes) {
  std::mt19937 random(7);
  std::string bytes(n_bytes, '\0');
  for (char& c : bytes) c = static_cast<char>(random() & 0xff);
  return bytes;
}

// Empty, one byte, words, every byte value, incompressible, long runs.
std::vector<std::string> texts() {
  std::string every_byte;
  for (int repeat = 0; repeat < 3; ++repeat)
    for (int value = 0; value < 256; ++value) every_byte.push_back(static_cast<char>(value));
  return {"", "x", words(3000, 1), every_byte, noise(80'000), std::string(300'000, '\0'), words(60'000, 2)};
}

const std::string& training_text() {
  static const std::string text = words(100'000, 3);
  return text;
}

std::vector<BaselineCodec> all_codecs() {
  std::vector<BaselineCodec> codecs = baseline_codecs();
  codecs.insert(codecs.end(), strong_codecs().begin(), strong_codecs().end());
  codecs.push_back(zstd_dictionary_codec(training_text()));
  return codecs;
}

std::string compress(Compressor& compressor, std::string& sunk, const std::vector<std::string_view>& pieces) {
  sunk.clear();
  for (std::string_view piece : pieces) compressor.add(piece);
  compressor.finish();
  return sunk;
}

std::string compress(const BaselineCodec& codec, const std::vector<std::string_view>& pieces) {
  std::string sunk;
  const auto compressor = make_compressor(codec, [&](std::string_view piece) { sunk += piece; });
  return compress(*compressor, sunk, pieces);
}

std::string gunzip(const std::string& bytes, std::size_t capacity) {
  std::string text(capacity + 1, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::runtime_error("inflateInit2");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  if (inflate(&stream, Z_FINISH) != Z_STREAM_END || stream.avail_in != 0) throw std::runtime_error("inflate");
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

std::string bunzip2(std::string bytes, std::size_t capacity) {
  std::string text(capacity + 1, '\0');
  auto n = static_cast<unsigned>(text.size());
  if (BZ2_bzBuffToBuffDecompress(text.data(), &n, bytes.data(), static_cast<unsigned>(bytes.size()), 0, 0) != BZ_OK)
    throw std::runtime_error("bunzip2");
  text.resize(n);
  return text;
}

std::string unzstd(const std::string& bytes, std::size_t capacity, std::string_view dictionary) {
  std::string text(capacity + 1, '\0');
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  const std::size_t n = ZSTD_decompress_usingDict(context.get(), text.data(), text.size(), bytes.data(), bytes.size(),
                                                  dictionary.data(), dictionary.size());
  if (ZSTD_isError(n)) throw std::runtime_error(ZSTD_getErrorName(n));
  text.resize(n);
  return text;
}

std::string unxz(const std::string& bytes, std::size_t capacity) {
  std::string text(capacity + 1, '\0');
  std::uint64_t memory = std::uint64_t{1} << 30;
  std::size_t in = 0, out = 0;
  const lzma_ret status =
      lzma_stream_buffer_decode(&memory, 0, nullptr, reinterpret_cast<const std::uint8_t*>(bytes.data()), &in,
                                bytes.size(), reinterpret_cast<std::uint8_t*>(text.data()), &out, text.size());
  if (status != LZMA_OK || in != bytes.size()) throw std::runtime_error("unxz");
  text.resize(out);
  return text;
}

std::string unbrotli(const std::string& bytes, std::size_t capacity) {
  std::string text(capacity + 1, '\0');
  std::size_t n = text.size();
  if (BrotliDecoderDecompress(bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()), &n,
                              reinterpret_cast<std::uint8_t*>(text.data())) != BROTLI_DECODER_RESULT_SUCCESS)
    throw std::runtime_error("unbrotli");
  text.resize(n);
  return text;
}

std::string decompress(const BaselineCodec& codec, const std::string& bytes, std::size_t capacity) {
  switch (codec.family) {
    case BaselineCodec::Family::kGzip:
      return gunzip(bytes, capacity);
    case BaselineCodec::Family::kBzip2:
      return bunzip2(bytes, capacity);
    case BaselineCodec::Family::kZstd:
      return unzstd(bytes, capacity, codec.dictionary ? training_text() : "");
    case BaselineCodec::Family::kZstdLong:
      return unzstd(bytes, capacity, "");
    case BaselineCodec::Family::kContextMixing:
      return mix_decompress(bytes);
    case BaselineCodec::Family::kXz:
      return unxz(bytes, capacity);
    case BaselineCodec::Family::kBrotli:
      return unbrotli(bytes, capacity);
  }
  throw std::logic_error("no such family");
}

TEST(Baselines, RoundTripEveryKindOfText) {
  for (const BaselineCodec& codec : all_codecs()) {
    for (const std::string& text : texts()) {
      const std::string packed = compress(codec, {text});
      EXPECT_TRUE(decompress(codec, packed, text.size()) == text) << codec.name << ", " << text.size() << " bytes";
    }
  }
}

TEST(Baselines, OutputDoesNotDependOnHowTheTextIsCut) {
  const std::string text = words(80'000, 4);
  const std::string_view view = text;
  for (const BaselineCodec& codec : all_codecs()) {
    const std::string whole = compress(codec, {view});
    std::vector<std::string_view> pieces = {view.substr(0, 1), "", view.substr(1, 9'999)};
    for (std::size_t at = 10'000; at < text.size(); at += 37'001) pieces.push_back(view.substr(at, 37'001));
    EXPECT_TRUE(compress(codec, pieces) == whole) << codec.name;
  }
}

TEST(Baselines, ACompressorForgetsTheTextBefore) {
  for (const BaselineCodec& codec : all_codecs()) {
    std::string sunk;
    const auto compressor = make_compressor(codec, [&](std::string_view piece) { sunk += piece; });
    for (const std::string& text : {words(40'000, 5), std::string(), words(50, 6), words(40'000, 5)})
      EXPECT_TRUE(compress(*compressor, sunk, {text}) == compress(codec, {text})) << codec.name << " " << text.size();
  }
}

TEST(Baselines, KnowingTheLengthChangesNoSize) {
  for (const BaselineCodec& codec : all_codecs())
    for (const std::string& text : texts())
      EXPECT_EQ(compressed_size(codec, text), std::ssize(compress(codec, {text}))) << codec.name << " " << text.size();
}

TEST(Baselines, GzipCountsAHeaderOfTenBytesAndATrailerOfEight) {
  const std::string text = words(5000, 8);
  uLongf n_zlib = compressBound(text.size());
  std::string buffer(n_zlib, '\0');
  ASSERT_EQ(compress2(reinterpret_cast<Bytef*>(buffer.data()), &n_zlib, reinterpret_cast<const Bytef*>(text.data()),
                      text.size(), 9),
            Z_OK);
  const auto gzip9 = select_codecs({"gzip-9"}).front();
  EXPECT_EQ(compressed_size(gzip9, text), static_cast<std::int64_t>(n_zlib) - 6 + 18);  // zlib's own frame has 6
  EXPECT_EQ(compressed_size(gzip9, ""), 20);
  const std::string packed = compress(gzip9, {text});
  EXPECT_EQ(packed.substr(4, 4), std::string(4, '\0')) << "a time would make sizes of equal texts differ in bytes";
}

TEST(Baselines, TheDictionaryHelpsOnTextLikeIt) {
  const std::string seen = training_text().substr(1000, 50'000);
  const std::int64_t without = compressed_size(select_codecs({"zstd-19"}).front(), seen);
  EXPECT_LT(compressed_size(zstd_dictionary_codec(training_text()), seen) * 50, without);
}

TEST(Baselines, AnEmptyDictionaryIsRefused) { EXPECT_THROW(zstd_dictionary_codec(""), Error); }

TEST(DocumentBaselines, AreTheSizesOfEachDocumentAlone) {
  DocumentBaselines baselines(baseline_codecs());
  for (const std::string& text : {words(20'000, 10), std::string(), words(100, 11), words(60'000, 12)}) {
    const auto sizes = baselines.sizes(text);
    ASSERT_EQ(sizes.size(), baseline_codecs().size());
    for (const BaselineCodec& codec : baseline_codecs())
      EXPECT_EQ(sizes.at(codec.name), compressed_size(codec, text)) << codec.name << " " << text.size();
  }
}

TEST(PerDocumentBaselines, AreTheSumsOverDocumentsAtAnyThreadCount) {
  const auto codecs = select_codecs({"gzip-1", "zstd-3", "bzip2"});
  std::vector<std::string> documents = {words(300'000, 19), "", words(800'000, 20)};  // more than a batch holds
  for (unsigned d = 0; d < 20; ++d) documents.push_back(words(50 * d, d));
  for (int n_threads : {1, 2, 3}) {
    PerDocumentBaselines baselines(codecs, n_threads);
    for (const auto& document : documents) baselines.add(document);
    const auto sums = baselines.finish();
    ASSERT_EQ(sums.size(), codecs.size());
    for (const BaselineCodec& codec : codecs) {
      std::int64_t expected = 0;
      for (const auto& document : documents) expected += compressed_size(codec, document);
      EXPECT_EQ(sums.at(codec.name), expected) << codec.name << " on " << n_threads << " threads";
    }
  }
}

TEST(WholeCorpusBaselines, IsTheConcatenationOfTheDocumentsAtAnyThreadCount) {
  const std::vector<std::string> documents = {words(70'000, 13), "", words(50'000, 14), "x", words(9'000, 15)};
  std::string concatenation;
  for (const auto& document : documents) concatenation += document;
  for (int n_threads : {1, 2, 5}) {
    WholeCorpusBaselines baselines(baseline_codecs(), n_threads);
    for (const auto& document : documents) baselines.add(document);
    const auto sizes = baselines.finish();
    for (const BaselineCodec& codec : baseline_codecs())
      EXPECT_EQ(sizes.at(codec.name), compressed_size(codec, concatenation)) << codec.name << " " << n_threads;
  }
}

TEST(WholeCorpusBaselines, HandsOnCorporaLongerThanItsBuffer) {
  const auto codecs = select_codecs({"gzip-6", "bzip2", "zstd-3"});
  std::string concatenation;
  WholeCorpusBaselines baselines(codecs, 2);
  for (const std::string& document : {words(1'000'000, 16), words(100'000, 17), words(2'200'000, 18)}) {
    baselines.add(document);
    concatenation += document;
  }
  const auto sizes = baselines.finish();
  for (const BaselineCodec& codec : codecs)
    EXPECT_EQ(sizes.at(codec.name), compressed_size(codec, concatenation)) << codec.name;
}

TEST(WholeCorpusBaselines, AnEmptyCorpusIsAnEmptyStream) {
  const auto sizes = WholeCorpusBaselines(baseline_codecs()).finish();
  for (const BaselineCodec& codec : baseline_codecs()) EXPECT_EQ(sizes.at(codec.name), compressed_size(codec, ""));
}

TEST(SelectCodecs, TakesNamesAndFamilies) {
  const auto names = [](const std::vector<std::string>& given) {
    std::vector<std::string> selected;
    for (const auto& codec : select_codecs(given)) selected.push_back(codec.name);
    return selected;
  };
  EXPECT_EQ(names({"xz", "gzip-9", "xz-6"}), (std::vector<std::string>{"gzip-9", "xz-6", "xz-9e"}));
  EXPECT_EQ(names({}).size(), baseline_codecs().size());
}

TEST(SelectCodecs, NamesTheNearestOfAnUnknownOne) {
  try {
    select_codecs({"gzip-9", "gzpi-6"});
    FAIL() << "nothing was thrown";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    EXPECT_NE(e.hint().find("gzip-6"), std::string::npos) << e.hint();
  }
}

TEST(CodecVersions, AreThoseOfTheLoadedLibraries) {
  const Json versions = codec_versions();
  EXPECT_EQ(versions.at("zlib"), zlibVersion());
  EXPECT_EQ(versions.at("zstd"), ZSTD_versionString());
  EXPECT_EQ(versions.at("liblzma"), lzma_version_string());
  for (const auto& version : versions) EXPECT_FALSE(version.get<std::string>().empty());
}

}  // namespace
}  // namespace lmbits
