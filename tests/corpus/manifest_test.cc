// Several files as one corpus: patterns, corpus.json, nested fields, filters, samples.
#include "src/corpus/manifest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "src/core/error.h"
#include "src/core/hash_value.h"
#include "src/core/json.h"
#include "src/corpus/reader.h"
#include "src/corpus/sample.h"
#include "src/corpus/statistics.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;
using Ids = std::vector<std::string>;

class CorpusFiles : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& bytes) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  std::string manifest(const Json& sources, const Json& more = Json::object()) {
    Json json = {{"format", "lmbits-corpus-1"}, {"sources", sources}};
    json.update(more);
    return write("corpus.json", json.dump());
  }

  std::string at(const std::string& name) const { return folder_ / name; }

  TemporaryFolder folder_;
};

CorpusSpec spec_of(const std::string& path, const std::string& sample = "") {
  CorpusSpec spec;
  spec.path = path;
  spec.sample = sample;
  return spec;
}

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

std::set<std::string> texts_of(const std::vector<Document>& documents) {
  std::set<std::string> texts;
  for (const Document& document : documents) texts.insert(document.bytes);
  return texts;
}

Error error_of(const CorpusSpec& spec) {
  try {
    read_all(spec);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << spec.path << " was read without an error";
  return Error(ErrorKind::kUsage, "");
}

std::string line(const std::string& id, const std::string& text) {
  return Json({{"id", id}, {"text", text}}).dump() + "\n";
}

TEST_F(CorpusFiles, APatternIsTheFilesItMatchesInOrder) {
  write("w/b.txt", "B");
  write("w/a.txt", "A");
  write("w/c.md", "C");
  write("w/d.jsonl", line("x", "D"));
  EXPECT_EQ(ids_of(read_all(spec_of(at("w/*.txt")))), (Ids{"a.txt", "b.txt"}));
  EXPECT_EQ(ids_of(read_all(spec_of(at("*/*.{md,jsonl}")))), (Ids{"w/c.md", "w/d.jsonl:x"}));
  EXPECT_EQ(ids_of(read_all(spec_of(at("w/[ab].txt")))), (Ids{"a.txt", "b.txt"}));
  EXPECT_EQ(corpus_name(spec_of(at("w/*.txt"))), "w");
  const Error none = error_of(spec_of(at("w/*.csv")));
  EXPECT_EQ(none.kind(), ErrorKind::kData);
  EXPECT_NE(std::string(none.what()).find("*.csv"), std::string::npos);
}

TEST_F(CorpusFiles, AFileWhoseNameLooksLikeAPatternIsThatFile) {
  EXPECT_EQ(ids_of(read_all(spec_of(write("a[1].txt", "A")))), Ids{"a[1].txt"});
}

TEST_F(CorpusFiles, EqualIdsOfTwoFilesStayApart) {
  write("a.jsonl", line("1", "A"));
  write("b.jsonl", line("1", "B"));
  EXPECT_EQ(ids_of(read_all(spec_of(at("*.jsonl")))), (Ids{"a.jsonl:1", "b.jsonl:1"}));
}

TEST_F(CorpusFiles, AFileAmongOthersThatCannotBeReadIsAFailedDocument) {
  write("a.txt", "A");
  write("b.txt.gz", "not gzip");
  write("c.txt", "C");
  const auto documents = read_all(spec_of(at("*.txt*")));
  ASSERT_EQ(ids_of(documents), (Ids{"a.txt", "b.txt.gz", "c.txt"}));
  EXPECT_NE(documents[1].error, "");
}

TEST_F(CorpusFiles, AFieldMayLieInsideOfOthers) {
  write("a.jsonl",
        "{\"a\":{\"b\":{\"c\":\"deep\"}}}\n{\"a.b.c\":\"dotted\"}\n{\"a\":[]}\n{\"a\":{\"b\":{\"c\":1}}}\n"
        "{\"a\":{\"b\":[\"x\",{\"c\":\"no\"}]}}\n");
  CorpusSpec spec = spec_of(at("a.jsonl"));
  spec.field = "a.b.c";
  const auto documents = read_all(spec);
  ASSERT_EQ(documents.size(), 5u);
  EXPECT_EQ(documents[0].bytes, "deep");
  EXPECT_EQ(documents[1].bytes, "dotted");
  for (std::size_t i : {2u, 3u, 4u}) EXPECT_NE(documents[i].error.find("a.b.c"), std::string::npos) << i;
  spec.field = "a.b.1.c";
  EXPECT_EQ(read_all(spec)[4].bytes, "no");
}

TEST_F(CorpusFiles, AManifestNamesCategoriesFieldsAndSplits) {
  write("news/a.jsonl", "{\"body\":{\"text\":\"n1\"}}\n{\"body\":{\"text\":\"n2\"},\"kind\":\"sport\"}\n");
  write("book.txt", "l1\nl2\n");
  write("code/x.py", "X");
  const std::string path =
      manifest({{{"path", "news/*.jsonl"}, {"field", "body.text"}, {"category", "news"}, {"category_field", "kind"}},
                {{"path", "book.txt"}, {"split", "lines"}, {"category", "books"}},
                "code"},
               {{"name", "mix"}, {"licence", "CC0"}, {"description", "of all"}});
  EXPECT_EQ(corpus_name(spec_of(path)), "mix");
  EXPECT_EQ(corpus_notes(spec_of(path)).licence, "CC0");
  const auto documents = read_all(spec_of(path));
  EXPECT_EQ(ids_of(documents),
            (Ids{"news/a.jsonl:line-1", "news/a.jsonl:line-2", "book.txt#000000", "book.txt#000001", "code/x.py"}));
  std::vector<std::string> categories;
  for (const Document& document : documents) categories.push_back(document.category);
  EXPECT_EQ(categories, (std::vector<std::string>{"news", "sport", "books", "books", ""}));
  const CorpusSummary summary = corpus_summary(spec_of(path), 1, *std::make_unique<NoProgress>());
  EXPECT_EQ(summary.all.n_documents, 5);
  EXPECT_EQ(summary.categories.at("books").n_documents, 2);
  EXPECT_EQ(summary.categories.at("books").n_bytes, 6);
}

TEST_F(CorpusFiles, FiltersLeaveOutWhatDoesNotMeetAllOfThem) {
  write("a.jsonl",
        "{\"id\":\"short\",\"text\":\"ab\",\"lang\":\"en\",\"m\":{\"score\":0.9}}\n"
        "{\"id\":\"kept\",\"text\":\"abcd\",\"lang\":\"en\",\"m\":{\"score\":0.9}}\n"
        "{\"id\":\"long\",\"text\":\"abcdefgh\",\"lang\":\"en\",\"m\":{\"score\":0.9}}\n"
        "{\"id\":\"german\",\"text\":\"abcd\",\"lang\":\"de\",\"m\":{\"score\":0.9}}\n"
        "{\"id\":\"bad\",\"text\":\"abcd\",\"lang\":\"en\",\"m\":{\"score\":0.1}}\n"
        "{\"id\":\"unscored\",\"text\":\"abcd\",\"lang\":\"en\"}\n"
        "{\"id\":\"umlauts\",\"text\":\"\xC3\xA4\xC3\xB6\xC3\xBC\",\"lang\":\"fr\",\"m\":{\"score\":0.5}}\n");
  const Json where = {{"lang", {"en", "fr"}}, {"m.score", {{"min", 0.5}, {"max", 1.0}}}};
  const auto kept = [&](const Json& filters) {
    return ids_of(read_all(spec_of(manifest({{{"path", "a.jsonl"}, {"filters", filters}}}))));
  };
  EXPECT_EQ(kept({{"where", where}, {"min_bytes", 3}, {"max_bytes", 7}}), (Ids{"a.jsonl:kept", "a.jsonl:umlauts"}));
  EXPECT_EQ(kept({{"where", where}, {"min_chars", 4}}), (Ids{"a.jsonl:kept", "a.jsonl:long"}));
  EXPECT_EQ(kept({{"where", where}, {"max_chars", 3}}), (Ids{"a.jsonl:short", "a.jsonl:umlauts"}));
  EXPECT_EQ(kept({{"where", {{"m", nullptr}}}}), Ids{"a.jsonl:unscored"});
  write("f/good.txt", "good");
  write("f/bad.txt", "\xff");
  EXPECT_EQ(ids_of(read_all(spec_of(manifest({{{"path", "f/*"}, {"filters", {{"valid_utf8", true}}}}})))),
            Ids{"f/good.txt"});
}

TEST_F(CorpusFiles, AManifestThatIsWrongIsRefusedByNameOfTheKey) {
  write("a.txt", "A");
  const auto refusal = [&](const Json& json) {
    const Error error = error_of(spec_of(write("corpus.json", json.dump())));
    EXPECT_EQ(error.kind(), ErrorKind::kConfig) << error.what();
    return std::string(error.what()) + " " + error.hint();
  };
  const std::string format = "lmbits-corpus-1";
  EXPECT_NE(refusal({{"format", "2"}}).find("format"), std::string::npos);
  EXPECT_NE(refusal({{"format", format}}).find("sources"), std::string::npos);
  EXPECT_NE(refusal({{"format", format}, {"sources", {"a.txt"}}, {"feild", "x"}}).find("field"), std::string::npos);
  EXPECT_NE(refusal({{"format", format}, {"sources", {{{"path", "a.txt"}, {"kategory", "x"}}}}}).find("sources[0]"),
            std::string::npos);
  EXPECT_NE(refusal({{"format", format}, {"sources", {{{"category", "x"}}}}}).find("path"), std::string::npos);
  EXPECT_NE(refusal({{"format", format}, {"sources", {{{"path", "a.txt"}, {"filters", {{"min_bytes", -1}}}}}}})
                .find("min_bytes"),
            std::string::npos);
  EXPECT_NE(refusal({{"format", format}, {"sources", {"a.txt", "./a.txt"}}}).find("a.txt"), std::string::npos);
  EXPECT_EQ(error_of(spec_of(write("corpus.json", "{"))).kind(), ErrorKind::kData);
}

TEST_F(CorpusFiles, TheFingerprintChangesWithAllThatChangesDocuments) {
  write("a.jsonl", line("1", "A"));
  write("b.jsonl", line("1", "B"));
  std::set<std::string> prints;
  const auto add = [&](const CorpusSpec& spec) { return prints.insert(corpus_fingerprint(spec)).second; };
  EXPECT_TRUE(add(spec_of(at("a.jsonl"))));
  EXPECT_TRUE(add(spec_of(at("[a].jsonl"))));
  EXPECT_TRUE(add(spec_of(at("*.jsonl"))));
  EXPECT_TRUE(add(spec_of(at("*.jsonl"), "1 docs")));
  EXPECT_TRUE(add(spec_of(at("*.jsonl"), "2 docs")));
  EXPECT_TRUE(add(spec_of(at("*.jsonl"), "2 bytes")));
  CorpusSpec seeded = spec_of(at("*.jsonl"), "2 bytes");
  seeded.sample_seed = 2;
  EXPECT_TRUE(add(seeded));
  EXPECT_FALSE(add(spec_of(manifest({"a.jsonl"})))) << "the documents of the pattern";
  EXPECT_TRUE(add(spec_of(manifest({{{"path", "a.jsonl"}, {"category", "x"}}}))));
  EXPECT_TRUE(add(spec_of(manifest({{{"path", "a.jsonl"}, {"filters", {{"min_bytes", 1}}}}}))));
  EXPECT_TRUE(add(spec_of(manifest({{{"path", "a.jsonl"}, {"filters", {{"where", {{"id", "1"}}}}}}}))));
  EXPECT_TRUE(add(spec_of(manifest({"a.jsonl"}, {{"sample", "1 docs"}}))));
  write("b.jsonl", line("1", "C"));
  EXPECT_TRUE(add(spec_of(at("*.jsonl"))));
  EXPECT_FALSE(add(spec_of(at("*.jsonl"))));
  EXPECT_FALSE(add(spec_of(manifest({"a.jsonl"}, {{"licence", "CC0"}, {"name", "x"}})))) << "for people alone";
}

TEST_F(CorpusFiles, ParquetIsRefusedWithTheWayOut) {
  const Error error = error_of(spec_of(write("a.parquet", "PAR1")));
  EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  EXPECT_NE(error.hint().find("scripts/to_jsonl.py"), std::string::npos);
}

TEST(ParseSample, TakesNumbersWithUnits) {
  const auto is = [](const std::string& text, SampleSize::Unit unit, std::int64_t n) {
    const SampleSize size = parse_sample(text);
    EXPECT_EQ(size.unit, unit) << text;
    EXPECT_EQ(size.n, n) << text;
  };
  is("3M chars", SampleSize::Unit::kChars, 3000000);
  is("3Mchars", SampleSize::Unit::kChars, 3000000);
  is("500 docs", SampleSize::Unit::kDocuments, 500);
  is("1.5 MB", SampleSize::Unit::kBytes, 1500000);
  is("2k documents", SampleSize::Unit::kDocuments, 2000);
  is("7 bytes", SampleSize::Unit::kBytes, 7);
  for (const char* bad : {"", "3M", "docs", "-3 docs", "0 docs", "0.5 docs", "3 words", "3 M chars x", "nan docs"})
    EXPECT_THROW(parse_sample(bad), Error) << bad;
}

class Samples : public CorpusFiles {
 protected:
  // 60 documents of different lengths in three files, named and cut as asked.
  std::string corpus(const std::string& folder, const std::vector<int>& order, int n_files) {
    std::vector<std::string> files(static_cast<std::size_t>(n_files));
    for (std::size_t i = 0; i < order.size(); ++i)
      files[i % files.size()] += line("d" + std::to_string(i), text(order[i]));
    for (std::size_t f = 0; f < files.size(); ++f) write(folder + "/" + std::to_string(f) + ".jsonl", files[f]);
    return at(folder + "/*.jsonl");
  }
  static std::string text(int i) {
    return std::string(static_cast<std::size_t>(1 + i * 7 % 50), 'a') + std::to_string(i);
  }
};

TEST_F(Samples, DependOnSeedAndTextsNotOnFilesOrTheirOrder) {
  std::vector<int> order(60);
  for (int i = 0; i < 60; ++i) order[static_cast<std::size_t>(i)] = i;
  const std::string straight = corpus("a", order, 3);
  std::reverse(order.begin(), order.end());
  const std::string reversed = corpus("b", order, 5);
  std::set<std::set<std::string>> samples;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CorpusSpec one = spec_of(straight, "200 chars"), other = spec_of(reversed, "200 chars");
    one.sample_seed = other.sample_seed = seed;
    const auto texts = texts_of(read_all(one));
    EXPECT_EQ(texts, texts_of(read_all(other)));
    EXPECT_EQ(ids_of(read_all(one)), ids_of(read_all(with_sample_drawn(one))));
    samples.insert(texts);
  }
  EXPECT_EQ(samples.size(), 20u) << "seeds differ";
}

TEST_F(Samples, ReachTheSizeWithTheFewestDocumentsOfTheirOrder) {
  std::vector<int> order(60);
  for (int i = 0; i < 60; ++i) order[static_cast<std::size_t>(i)] = i;
  const std::string path = corpus("a", order, 3);
  const auto whole = read_all(spec_of(path));
  // The definition, by sorting everything.
  std::vector<std::pair<std::uint64_t, std::string>> sorted;
  for (const Document& document : whole) sorted.emplace_back(hash64(document.bytes, 1), document.bytes);
  std::sort(sorted.begin(), sorted.end());
  for (const std::size_t n_bytes : {1u, 50u, 333u, 1000u, 1000000u}) {
    std::set<std::string> expected;
    std::size_t total = 0;
    for (const auto& [key, text] : sorted) {
      if (total >= n_bytes) break;
      expected.insert(text);
      total += text.size();
    }
    EXPECT_EQ(texts_of(read_all(spec_of(path, std::to_string(n_bytes) + " bytes"))), expected) << n_bytes;
  }
  EXPECT_EQ(read_all(spec_of(path, "17 docs")).size(), 17u);
  EXPECT_EQ(read_all(spec_of(path, "17K docs")).size(), 60u);
}

TEST_F(Samples, EveryDocumentIsAboutEquallyOftenInOne) {
  std::vector<int> order(60);
  for (int i = 0; i < 60; ++i) order[static_cast<std::size_t>(i)] = i;
  CorpusSpec spec = spec_of(corpus("a", order, 3), "15 docs");
  std::map<std::string, int> counts;
  constexpr int kSeeds = 400;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    spec.sample_seed = seed;
    for (const Document& document : read_all(spec)) ++counts[document.id];
  }
  double chi_square = 0.0;  // 60 counts, each of 400 draws at 1/4: mean 100, variance 75
  for (const auto& [id, n] : counts) chi_square += (n - 100.0) * (n - 100.0) / 75.0;
  EXPECT_EQ(counts.size(), 60u);
  EXPECT_LT(chi_square, 100.0);  // of 59 degrees of freedom, p < 0.001
  EXPECT_GT(chi_square, 28.0);
}

}  // namespace
}  // namespace lmbits
