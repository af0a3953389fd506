#include "src/corpus/reader.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/corpus/media.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using Ids = std::vector<std::string>;

class Reader : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / ("lmbits_reader_"s + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& bytes) const {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  }

  fs::path folder_;
};

CorpusSpec spec_of(const std::string& path, const std::string& split = "none") { return {path, "", "text", split}; }

std::vector<Document> read_all(const CorpusSpec& spec) {
  std::vector<Document> documents;
  const auto reader = open_corpus(spec);
  while (auto document = reader->next()) documents.push_back(*std::move(document));
  return documents;
}

Ids ids_of(const std::vector<Document>& documents) {
  Ids ids;
  for (const Document& document : documents) ids.push_back(document.id);
  return ids;
}

std::string joined(const std::vector<Document>& documents) {
  std::string bytes;
  for (const Document& document : documents) bytes += document.bytes;
  return bytes;
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

// Compresses badly enough that a truncation anywhere matters, and is longer than one read.
std::string noisy_text(std::size_t n) {
  std::mt19937 rng(3);
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text.push_back(static_cast<char>(i % 60 == 59 ? '\n' : ' ' + rng() % 90));
  return text;
}

// The error that reading this corpus to its end throws.
Error error_of(const CorpusSpec& spec) {
  try {
    read_all(spec);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << spec.path << " was read without an error";
  return Error(ErrorKind::kUsage, "");
}

TEST_F(Reader, ATextFileIsOneDocumentOfItsBytesAsTheyAre) {
  const std::string odd = "\xEF\xBB\xBF"s + "a\r\nb\0c\xFF\xFE\n"s;
  const auto documents = read_all(spec_of(write("odd.txt", odd)));
  ASSERT_EQ(ids_of(documents), Ids{"odd.txt"});
  EXPECT_EQ(documents[0].bytes, odd);
  EXPECT_EQ(documents[0].error, "");
}

TEST_F(Reader, AnEmptyFileIsADocumentOfNoBytes) {
  const auto documents = read_all(spec_of(write("empty.txt", "")));
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_EQ(documents[0].bytes, "");
  EXPECT_EQ(documents[0].error, "");
}

TEST_F(Reader, PiecesAreNumberedFromZeroWithSixDigits) {
  const auto documents = read_all(spec_of(write("a.txt", "x\ny\nz"), "lines"));
  EXPECT_EQ(ids_of(documents), (Ids{"a.txt#000000", "a.txt#000001", "a.txt#000002"}));
  EXPECT_EQ(joined(documents), "x\ny\nz");
}

TEST_F(Reader, AFolderGivesItsFilesInTheOrderOfTheirRelativePaths) {
  write("f/b.txt", "B");
  write("f/a/z.txt", "Z");
  write("f/a.txt", "A");
  write("f/B.txt", "");
  write("f/c.txt.gz", gzip("C"));
  const std::string root = (folder_ / "f").string();
  for (const std::string& path : {root, root + "/"}) {
    const auto documents = read_all(spec_of(path));
    EXPECT_EQ(ids_of(documents), (Ids{"B.txt", "a.txt", "a/z.txt", "b.txt", "c.txt.gz"}));
    EXPECT_EQ(joined(documents), "AZBC");
  }
}

TEST_F(Reader, AFolderWithoutFilesIsAnError) {
  fs::create_directories(folder_ / "empty" / "below");
  EXPECT_EQ(error_of(spec_of((folder_ / "empty").string())).kind(), ErrorKind::kData);
}

TEST_F(Reader, AFileNameThatIsNoUtf8MakesAnIdThatIs) {
  write("f/\xFFname\xC3\xA9.txt", "x");
  EXPECT_EQ(ids_of(read_all(spec_of((folder_ / "f").string()))), Ids{"%FFname\xC3\xA9.txt"});
}

TEST_F(Reader, ABadFileInAFolderIsAFailedDocumentAndReadingGoesOn) {
  write("f/a.txt", "A");
  const std::string whole = gzip(noisy_text(1000));
  write("f/b.txt.gz", whole.substr(0, whole.size() / 2));
  write("f/c.txt", "C");
  write("f/d.txt", "D");
  auto reader = open_corpus(spec_of((folder_ / "f").string()));
  fs::remove(folder_ / "f" / "c.txt");
  std::vector<Document> documents;
  while (auto document = reader->next()) documents.push_back(*document);
  ASSERT_EQ(ids_of(documents), (Ids{"a.txt", "b.txt.gz", "c.txt", "d.txt"}));
  EXPECT_EQ(joined(documents), "AD");
  EXPECT_NE(documents[1].error.find("b.txt.gz: the gzip stream ends too early at byte "), std::string::npos)
      << documents[1].error;
  EXPECT_NE(documents[2].error.find("c.txt: cannot be opened"), std::string::npos) << documents[2].error;
  EXPECT_EQ(documents[3].error, "");
}

TEST_F(Reader, ThePieceThatCouldNotBeReadKeepsItsPlaceAmongThePieces) {
  const std::string text = noisy_text(350000), whole = gzip(text);
  write("f/b.gz", whole.substr(0, whole.size() - 1000));
  const auto documents = read_all(spec_of((folder_ / "f").string(), "100000"));
  ASSERT_EQ(ids_of(documents), (Ids{"b.gz#000000", "b.gz#000001", "b.gz#000002", "b.gz#000003"}));
  EXPECT_EQ(joined(documents), text.substr(0, 300000));
  for (const Document& document : documents) EXPECT_EQ(document.error.empty(), document.id != "b.gz#000003");
}

TEST_F(Reader, CompressedSourcesGiveTheBytesThatWentIn) {
  const std::string text = noisy_text((5 << 19) + 7);
  const std::string first = text.substr(0, 1000001), second = text.substr(1000001);
  EXPECT_EQ(joined(read_all(spec_of(write("one.txt.gz", gzip(text))))), text);
  EXPECT_EQ(joined(read_all(spec_of(write("one.txt.zst", zstd(text))))), text);
  EXPECT_EQ(joined(read_all(spec_of(write("two.txt.gz", gzip(first) + gzip("") + gzip(second))))), text);
  EXPECT_EQ(joined(read_all(spec_of(write("two.txt.zst", zstd(first) + zstd("") + zstd(second))))), text);
  EXPECT_EQ(joined(read_all(spec_of(write("padded.txt.gz", gzip(text) + std::string(512, '\0'))))), text);
  // A run of one byte: what the decoder holds back is much more than what it was given.
  const std::string zeros(10 << 20, '\0');
  EXPECT_EQ(joined(read_all(spec_of(write("zeros.gz", gzip(zeros))))), zeros);
  EXPECT_EQ(joined(read_all(spec_of(write("zeros.zst", zstd(zeros))))), zeros);
}

TEST_F(Reader, ATruncatedStreamIsAnErrorWhereverItIsCut) {
  const std::string text = noisy_text(300);
  const std::vector<std::pair<std::string, std::string>> streams = {
      {"t.gz", gzip(text)}, {"t.zst", zstd(text)}, {"u.gz", gzip("a") + gzip(text)}, {"u.zst", zstd("a") + zstd(text)}};
  for (const auto& [name, stream] : streams) {
    const std::size_t whole_first = name == "u.gz" ? gzip("a").size() : name == "u.zst" ? zstd("a").size() : 0;
    for (std::size_t n = 0; n < stream.size(); ++n) {
      if (n == whole_first && n > 0) continue;  // between two members: a whole file
      const Error error = error_of(spec_of(write(name, stream.substr(0, n))));
      ASSERT_EQ(error.kind(), ErrorKind::kData);
      ASSERT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      ASSERT_NE(std::string(error.what()).find("ends too early at byte " + std::to_string(n)), std::string::npos)
          << n << ": " << error.what();
    }
  }
}

TEST_F(Reader, ACorruptStreamIsAnErrorThatNamesThePlace) {
  std::string damaged = gzip(noisy_text(5000));
  damaged[damaged.size() / 2] ^= 0x40;
  const std::vector<std::pair<std::string, std::string>> streams = {{"damaged.gz", damaged},
                                                                    {"garbage.gz", gzip("a") + "garbage"},
                                                                    {"padding.gz", gzip("a") + "\0\0x"s},
                                                                    {"text.gz", "this is no gzip file"},
                                                                    {"garbage.zst", zstd("a") + "garbage"},
                                                                    {"text.zst", "this is no zstd file"}};
  for (const auto& [name, stream] : streams) {
    const Error error = error_of(spec_of(write(name, stream)));
    EXPECT_EQ(error.kind(), ErrorKind::kData) << name;
    EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("at byte "), std::string::npos) << error.what();
  }
}

TEST_F(Reader, APathThatIsNotThereIsADataError) {
  EXPECT_EQ(error_of(spec_of((folder_ / "none.txt").string())).kind(), ErrorKind::kData);
  EXPECT_EQ(error_of(spec_of("/dev/null")).kind(), ErrorKind::kData);
}

TEST_F(Reader, ABadSplitIsAConfigurationError) {
  EXPECT_EQ(error_of(spec_of(write("a.txt", "a"), "words")).kind(), ErrorKind::kConfig);
}

TEST_F(Reader, JsonlGivesTheFieldOfEveryLine) {
  const std::string path = write("c.jsonl", R"({"id": "first", "text": "a\u00e9\u0000\n", "n": [1, {"text": "no"}]})"
                                            "\n\n  \r\n"
                                            R"({"text": "second", "id": 7})"
                                            "\r\n"
                                            R"({"text": ""})"
                                            "\n"
                                            R"({"id": null, "text": "last"})");
  const auto documents = read_all(spec_of(path));
  ASSERT_EQ(ids_of(documents), (Ids{"first", "7", "line-5", "line-6"}));
  EXPECT_EQ(documents[0].bytes, "a\xC3\xA9\0\n"s);
  EXPECT_EQ(documents[1].bytes, "second");
  EXPECT_EQ(documents[2].bytes, "");
  EXPECT_EQ(documents[3].bytes, "last");
  for (const Document& document : documents) EXPECT_EQ(document.error, "");
}

TEST_F(Reader, JsonlReadsAnotherFieldAndSkipsAByteOrderMark) {
  CorpusSpec spec = spec_of(write("c.ndjson", "\xEF\xBB\xBF{\"body\": \"x\", \"text\": \"y\"}\n"));
  spec.field = "body";
  EXPECT_EQ(joined(read_all(spec)), "x");
}

TEST_F(Reader, ABadLineIsAFailedDocumentAndReadingGoesOn) {
  const std::vector<std::string> bad = {
      "{\"text\": \"a\"",
      "nonsense",
      "{\"body\": \"a\"}",
      "{\"text\": 3}",
      "{\"text\": null}",
      "[\"text\"]",
      "{\"text\": \"\xFF\"}",
      "{\"text\": \"\xED\xA0\x80\"}",
      "{\"text\": \"\\ud800\"}",
      "{\"text\": \"a\nb\"}",
      "{\"text\": \"a\"}\0junk"s,
      "{\"text\": \"a\"} {}",
      "{\"n\": 1e999, \"text\": \"a\"}",
      "{\"n\": " + std::string(600, '[') + std::string(600, ']') + ", \"text\": \"a\"}"};
  for (const std::string& line : bad) {
    const auto documents = read_all(spec_of(write("c.jsonl", "{\"text\": \"A\"}\n" + line + "\n{\"text\": \"Z\"}\n")));
    ASSERT_GE(documents.size(), 3u) << line;
    EXPECT_EQ(documents.front().bytes, "A");
    EXPECT_EQ(documents.back().bytes, "Z") << line;
    for (std::size_t i = 1; i + 1 < documents.size(); ++i) {
      EXPECT_NE(documents[i].error.find("line "), std::string::npos) << line;
      EXPECT_EQ(documents[i].bytes, "");
      EXPECT_EQ(documents[i].id, "line-" + std::to_string(i + 1));
    }
  }
}

TEST_F(Reader, ALineWithoutItsTextKeepsItsId) {
  const auto documents = read_all(spec_of(write("c.jsonl", "{\"id\": \"x\"}\n")));
  ASSERT_EQ(ids_of(documents), Ids{"x"});
  EXPECT_EQ(documents[0].error, "line 1: no field \"text\"");
}

TEST_F(Reader, IdsAreUniqueWhateverTheLinesCallThemselves) {
  std::string lines;
  for (const char* id : {"\"x\"", "\"x\"", "\"x~2\"", "\"x\"", "1", "\"1\"", "\"line-8\"", "null", "\"x~2\"", "\"y~2\"",
                         "\"y\"", "\"y\""}) {
    lines += "{\"id\": "s + id + ", \"text\": \"t\"}\n";
  }
  EXPECT_EQ(ids_of(read_all(spec_of(write("c.jsonl", lines)))),
            (Ids{"x", "x~2", "x~2~2", "x~3", "1", "1~2", "line-8", "line-8~2", "x~2~3", "y~2", "y", "y~3"}));
}

TEST_F(Reader, JsonlTextsAreCutLikeFiles) {
  const auto documents = read_all(spec_of(write("c.jsonl", R"({"id": "p", "text": "a\n\nb"})"
                                                           "\n"
                                                           R"({"id": "q", "text": ""})"
                                                           "\nbad\n"),
                                          "paragraphs"));
  EXPECT_EQ(ids_of(documents), (Ids{"p#000000", "p#000001", "q#000000", "line-3#000000"}));
  EXPECT_EQ(documents[0].bytes, "a\n\n");
  EXPECT_NE(documents[3].error, "");
}

TEST_F(Reader, CompressedJsonlReadsAsPlainAndLinesMayBeOfAnyLength) {
  std::string lines;
  for (const std::size_t n : {10, 3 << 20, 5}) lines += "{\"text\": \"" + std::string(n, 'x') + "\"}\n";
  for (const auto& [name, bytes] : std::vector<std::pair<std::string, std::string>>{
           {"c.jsonl", lines}, {"c.jsonl.gz", gzip(lines)}, {"c.ndjson.zst", zstd(lines)}}) {
    const auto documents = read_all(spec_of(write(name, bytes)));
    ASSERT_EQ(documents.size(), 3u) << name;
    EXPECT_EQ(documents[1].bytes, std::string(3 << 20, 'x')) << name;
  }
}

TEST_F(Reader, TheFingerprintChangesWithWhateverChangesTheDocuments) {
  const std::string root = (folder_ / "f").string();
  std::set<std::string> seen;
  const auto is_new = [&](const CorpusSpec& spec) {
    const std::string fingerprint = corpus_fingerprint(spec);
    EXPECT_EQ(fingerprint.size(), 32u);
    EXPECT_EQ(fingerprint, corpus_fingerprint(spec));
    return seen.insert(fingerprint).second;
  };
  write("f/a.txt", "AB");
  write("f/b.txt", "");
  EXPECT_TRUE(is_new(spec_of(root)));
  EXPECT_FALSE(is_new(spec_of(root + "/")));
  EXPECT_TRUE(is_new(spec_of(root, "lines")));
  EXPECT_TRUE(is_new(spec_of(root, "100")));
  EXPECT_FALSE(is_new(spec_of(root, "0100")));
  CorpusSpec other_field = spec_of(root);
  other_field.field = "body";
  EXPECT_TRUE(is_new(other_field));
  EXPECT_TRUE(is_new(spec_of(root + "/a.txt")));
  write("f/a.txt", "A");
  write("f/b.txt", "B");
  EXPECT_TRUE(is_new(spec_of(root)));
  fs::rename(folder_ / "f" / "b.txt", folder_ / "f" / "c.txt");
  EXPECT_TRUE(is_new(spec_of(root)));
}

TEST_F(Reader, TheSizeIsTheDocumentsSizeWhereItIsKnown) {
  write("f/a.txt", "four");
  write("f/b/b.txt", "seven b");
  const std::string root = (folder_ / "f").string();
  EXPECT_EQ(corpus_size_bytes(spec_of(root)), 11);
  EXPECT_EQ(corpus_size_bytes(spec_of(root + "/a.txt")), 4);
  EXPECT_EQ(corpus_size_bytes(spec_of(write("c.jsonl", "{\"id\": 1, \"text\": \"\\u00e9x\"}\nbad\n"))), 3);
  EXPECT_EQ(corpus_size_bytes(spec_of(write("a.gz", gzip("six by")))), 6);
  EXPECT_EQ(corpus_size_bytes(spec_of(write("c.jsonl.zst", zstd("{\"text\": \"abc\"}\n")))), 3);
  write("f/c.zst", zstd("hello"));
  EXPECT_EQ(corpus_size_bytes(spec_of(root)), 16);
  write("f/d.gz", gzip("cut off").substr(0, 12));  // a failed document, which says so itself
  EXPECT_EQ(corpus_size_bytes(spec_of(root)), std::nullopt);
}

TEST_F(Reader, ASpecIsAPathOrANamedPath) {
  const auto expect = [](const std::string& text, const std::string& name, const std::string& path) {
    const CorpusSpec spec = parse_corpus_spec(text);
    EXPECT_EQ(spec.name, name) << text;
    EXPECT_EQ(spec.path, path) << text;
  };
  expect("prose=held/p.txt", "prose", "held/p.txt");
  expect("held/p.txt", "p", "held/p.txt");
  expect("held/p.jsonl.gz", "p", "held/p.jsonl.gz");
  expect("p.q.txt.zst", "p.q", "p.q.txt.zst");
  expect("./a=b.txt", "a=b", "./a=b.txt");
  expect("n=./a=b.txt", "n", "./a=b.txt");
  fs::create_directories(folder_ / "v1.0");
  const std::string folder = (folder_ / "v1.0").string();
  expect(folder, "v1.0", folder);
  expect(folder + "/", "v1.0", folder + "/");
  for (const char* bad : {"", "=x", "x="}) EXPECT_THROW(parse_corpus_spec(bad), Error) << bad;
}

// ---- pictures, sound and video: media.h

std::string noise(std::size_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string bytes(n, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// The same order found the other way round: positions sorted by what comes first.
std::string sorted_patches(const std::string& frames, std::size_t n_frames, std::size_t rows, std::size_t columns,
                           std::size_t pixel_bytes, const Patch& patch) {
  std::vector<std::pair<std::vector<std::size_t>, char>> keyed;
  const auto per = [](std::size_t i, std::int64_t side) { return i / static_cast<std::size_t>(side); };
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const std::size_t x = i / pixel_bytes % columns, y = i / pixel_bytes / columns % rows,
                      t = i / pixel_bytes / columns / rows;
    keyed.push_back({{per(t, patch.frames), per(y, patch.rows), per(x, patch.columns), t, y, x, i}, frames[i]});
  }
  EXPECT_EQ(frames.size(), n_frames * rows * columns * pixel_bytes);
  std::sort(keyed.begin(), keyed.end());
  std::string stream;
  for (const auto& [key, byte] : keyed) stream += byte;
  return stream;
}

void expect_comes_back(const std::string& file, const Patch& patch) {
  const std::string arranged = arrange_media(file, patch, "x");
  EXPECT_EQ(restore_media(arranged, patch, "x"), file);
  EXPECT_EQ(arranged.size(), file.size());
}

TEST_F(Reader, APictureIsItsPixelsPatchAfterPatch) {
  for (const std::size_t rows : {1U, 7U, 32U, 33U, 70U}) {
    for (const std::size_t columns : {1U, 16U, 65U}) {
      for (const bool colour : {false, true}) {
        for (const bool deep : {false, true}) {
          const std::size_t pixel_bytes = (colour ? 3U : 1U) * (deep ? 2U : 1U);
          const std::string pixels = noise(rows * columns * pixel_bytes);
          const std::string file = std::string(colour ? "P6" : "P5") + " # x\n" + std::to_string(columns) + "\n#\n" +
                                   std::to_string(rows) + (deep ? " 1000\n" : " 255 ") + pixels;
          for (const Patch& patch : {Patch{}, Patch{8, 8, 1}, Patch{5, 1000, 4}}) {
            EXPECT_EQ(media_stream(file, patch, "x"),
                      sorted_patches(pixels, 1, rows, columns, pixel_bytes, {patch.rows, patch.columns, 1}));
            expect_comes_back(file, patch);
          }
        }
      }
    }
  }
  CorpusSpec spec = spec_of(write("a.ppm.gz", gzip("P6 3 2 255 abcdefghijklmnopqrP6 1 1 255 xyz")));
  spec.patch = "2x1";
  const auto documents = read_all(spec);
  ASSERT_EQ(ids_of(documents), Ids{"a.ppm.gz"});
  EXPECT_EQ(documents[0].bytes, "abcjkldefmnoghipqrxyz");
}

TEST_F(Reader, AVideoIsItsFramesPlaneAfterPlane) {
  const std::size_t rows = 9, columns = 11, n_frames = 5;
  struct Chroma {
    std::string name;
    std::size_t rows, columns;
  };
  for (const Chroma& chroma : {Chroma{"420jpeg", 5, 6}, Chroma{"422", 9, 6}, Chroma{"444", 9, 11}, Chroma{"411", 9, 3},
                               Chroma{"mono", 0, 0}}) {
    for (const Patch& patch : {Patch{}, Patch{4, 4, 2}, Patch{4, 4, 5}, Patch{4, 4, 9}}) {
      const std::string y = noise(n_frames * rows * columns, 1);
      const std::size_t n_y = rows * columns, n_u = chroma.rows * chroma.columns;
      const std::string u = noise(n_frames * n_u, 2), v = noise(n_frames * n_u, 3);
      std::string file = "YUV4MPEG2 W11 H9 F25:1 Ip A1:1 C" + chroma.name + " XA=b\n", expected;
      for (std::size_t t = 0; t < n_frames; ++t)
        file += (t == 2 ? "FRAME Ixyz\n" : "FRAME\n") + y.substr(t * n_y, n_y) + u.substr(t * n_u, n_u) +
                v.substr(t * n_u, n_u);
      for (std::size_t t = 0; t < n_frames; t += static_cast<std::size_t>(patch.frames)) {
        const std::size_t n = std::min(n_frames - t, static_cast<std::size_t>(patch.frames));
        expected += sorted_patches(y.substr(t * n_y, n * n_y), n, rows, columns, 1, patch);
        if (n_u == 0) continue;
        expected += sorted_patches(u.substr(t * n_u, n * n_u), n, chroma.rows, chroma.columns, 1, patch);
        expected += sorted_patches(v.substr(t * n_u, n * n_u), n, chroma.rows, chroma.columns, 1, patch);
      }
      EXPECT_EQ(media_stream(file, patch, "x"), expected) << chroma.name << " " << patch_name(patch);
      expect_comes_back(file, patch);
    }
  }
}

std::string little_endian(std::uint64_t value, int n) {
  std::string bytes;
  for (int i = 0; i < n; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

std::string wav(int format, int n_channels, int sample_bytes, const std::string& samples, std::uint64_t stated) {
  return "RIFF" + little_endian(0, 4) + "WAVEJUNK" + little_endian(3, 4) + "abc" + '\0' + "fmt " +
         little_endian(16, 4) + little_endian(static_cast<std::uint64_t>(format), 2) +
         little_endian(static_cast<std::uint64_t>(n_channels), 2) + std::string(8, 'r') +
         little_endian(static_cast<std::uint64_t>(n_channels * sample_bytes), 2) +
         little_endian(static_cast<std::uint64_t>(8 * sample_bytes), 2) + "data" + little_endian(stated, 4) + samples;
}

TEST_F(Reader, SoundHasTheUpperByteOfASampleFirst) {
  EXPECT_EQ(media_stream(wav(1, 2, 2, "1a2b3c4d", 8), {}, "x"), "a1b2c3d4");
  EXPECT_EQ(media_stream(wav(1, 1, 3, "12345678", 8), {}, "x"), "321654");  // two bytes are no sample
  EXPECT_EQ(media_stream(wav(3, 1, 4, "1234", 0xFFFFFFFFU), {}, "x"), "4321");
  EXPECT_EQ(media_stream(wav(0xFFFE, 1, 1, "1234LIST\3\0\0\0abc\0id3 \1\0\0\0x"s, 4), {}, "x"), "1234");
  EXPECT_EQ(media_stream(wav(1, 1, 1, "123\0LIST\0\0\0\0"s, 3), {}, "x"), "123");
  EXPECT_EQ(media_stream(wav(1, 1, 2, "", 0), {}, "x"), "");
  for (const int sample_bytes : {1, 2, 3, 4}) expect_comes_back(wav(1, 3, sample_bytes, noise(1000), 999), {});
}

TEST_F(Reader, WhatIsNoPictureOrCutOffIsRefusedByName) {
  const std::string picture = "P5 4 4 255 " + noise(16), video = "YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcdFRAME\nefgh";
  const std::string sound = wav(1, 1, 2, noise(20), 20);
  for (const std::string& whole : {picture, video, sound}) {
    const std::size_t n = media_stream(whole, {}, "x").size();
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
      if (whole == video && (cut == whole.size() - 10 || cut == whole.size() - 20)) continue;  // a frame or two less
      EXPECT_THROW(media_stream(whole.substr(0, cut), {}, "x"), Error) << whole.substr(0, 10) << cut;
    }
    EXPECT_GT(n, 0U);
  }
  const auto message = [](const std::string& file) -> std::string {
    try {
      media_stream(file, {}, "x");
    } catch (const Error& e) {
      return e.what();
    }
    return "none";
  };
  EXPECT_EQ(message("GIF89a"), "x: neither PGM, PPM (P5, P6), WAV nor Y4M, by its first bytes");
  EXPECT_EQ(message(picture + "z."), "x: more follows behind its last picture");
  EXPECT_EQ(message("P5 4 4 70000 "), "x: states a largest value of 70000");
  EXPECT_EQ(message("P6 999999999999 999999999999 255 "),
            "x: has a plane of 999999999999 rows and 999999999999 columns");
  EXPECT_EQ(message("YUV4MPEG2 W2 H2 C420p10\n"), "x: Y4M of colour space 420p10 is not read");
  EXPECT_EQ(message("YUV4MPEG2 W2\nFRAME\n"), "x: has a plane of 0 rows and 2 columns");
  EXPECT_EQ(message(wav(17, 1, 2, "ab", 2)), "x: WAV of format 17 is not read");
  // Samples that the header does not count would be lost without a word.
  EXPECT_EQ(message(wav(1, 1, 2, "ab", 0)), "x: is longer than it says: behind its 0 bytes of samples are 2 more");
  for (const std::string& behind : {"LIST\0\0\0\0"s, std::string(100, 's')})
    EXPECT_THROW(arrange_media(wav(1, 1, 2, behind, 0), {}, "x"), Error);
  for (const std::string& behind :
       {"c"s, "LIST"s, "LIST\4\0\0\0abc"s, "LIST\2\0\0\0abc"s, "data\2\0\0\0ab"s, std::string(8, '\0')})
    EXPECT_EQ(message(wav(1, 1, 2, "ab" + behind, 2)), "x: is longer than it says: behind its 2 bytes of samples are " +
                                                           std::to_string(behind.size()) + " more");
  for (const char* bad : {"", "8", "8x", "0x8", "8x8x8x8", "ax4", "8x-1", "x8"})
    EXPECT_THROW(parse_patch(bad), Error) << bad;
  EXPECT_EQ(patch_name(parse_patch("8x4")), "8x4x1");

  std::mt19937 random(3);  // and whatever else: an error, or a file that comes back
  for (int i = 0; i < 20000; ++i) {
    std::string mutant = i % 3 == 0 ? picture : i % 3 == 1 ? video : sound;
    for (unsigned k = 0; k <= random() % 3; ++k) mutant[random() % mutant.size()] = static_cast<char>(random());
    std::string arranged;
    try {
      arranged = arrange_media(mutant, {2, 2, 2}, "x");
    } catch (const Error&) {
      continue;
    }
    ASSERT_EQ(restore_media(arranged, {2, 2, 2}, "x"), mutant);  // what was taken must come back: no error here
  }
  // The samples stood where the format was read from, and arranging them changed it.
  EXPECT_EQ(message("RIFFxxxxWAVEfmt \4\0\0\0\1\0\1\0data\2\0\0\0\2\0"s), "x: has a format of 4 bytes");
}

TEST_F(Reader, PicturesOfASetAreDocumentsAndOneThatIsBrokenFails) {
  write("set/a.pgm", "P5 2 2 255 abcd");
  write("set/b.pgm", "P5 2 2 255 ab");
  write("set/c.pgm",
        "P5 2 3 255 \xc3\xa9"
        "cdef");
  CorpusSpec spec = spec_of((folder_ / "set/*.pgm").string());
  const auto documents = read_all(spec);
  ASSERT_EQ(ids_of(documents), (Ids{"a.pgm", "b.pgm", "c.pgm"}));
  EXPECT_EQ(documents[0].bytes, "abcd");
  EXPECT_NE(documents[1].error.find("is cut off"), std::string::npos);
  spec.split = "1";  // bytes are bytes: no character holds them together
  EXPECT_EQ(read_all(spec).size(), 4U + 1U + 6U);
  spec.split = "lines";
  EXPECT_THROW(read_all(spec), Error);
  CorpusSpec other = spec_of(spec.path);
  other.patch = "1x1";
  EXPECT_NE(corpus_fingerprint(other), corpus_fingerprint(spec_of(spec.path)));
  CorpusSpec one = spec_of((folder_ / "set/a.pgm").string()), one_other = one;
  one_other.patch = "2x1";
  EXPECT_NE(corpus_fingerprint(one), corpus_fingerprint(one_other));
  EXPECT_EQ(read_all(spec_of((folder_ / "set").string()))[0].bytes, "P5 2 2 255 abcd");  // in a folder: a file
}

}  // namespace
}  // namespace lmbits
