#include "src/corpus/reader.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "src/core/error.h"

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
  EXPECT_EQ(corpus_size_bytes(spec_of(write("a.gz", gzip("a")))), std::nullopt);
  write("f/c.zst", zstd("a"));
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

}  // namespace
}  // namespace lmbits
