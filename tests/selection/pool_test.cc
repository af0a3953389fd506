#include "src/selection/pool.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>

#include "src/core/error.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

class PoolTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  std::string write_gz(const std::string& name, const std::string& bytes) {
    gzFile file = gzopen((folder_ / name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return folder_ / name;
  }
  Pool open(const std::string& path) { return Pool(path, folder_ / "spool"); }
  std::vector<std::string> records(const std::string& path) {
    const Pool pool = open(path);
    std::vector<std::string> list;
    for (std::int64_t i = 0; i < pool.size(); ++i) list.push_back(pool.record(i));
    return list;
  }
  testing::TemporaryFolder folder_;
};

using Records = std::vector<std::string>;

TEST_F(PoolTest, ARecordIsALineWithoutBlankOnesAndWithoutItsEnd) {
  const Records expected = {"{\"a\": 1}", "{\"b\": 2}", "{}"};
  EXPECT_EQ(records(write("p.jsonl", "{\"a\": 1}\n{\"b\": 2}\n{}\n")), expected);
  EXPECT_EQ(records(write("q.jsonl", "\xEF\xBB\xBF{\"a\": 1}\r\n\n \t\r\n{\"b\": 2}\r\n{}")), expected);
  EXPECT_EQ(records(write("empty.jsonl", "")), Records{});
  EXPECT_EQ(records(write("blank.ndjson", "\n\n")), Records{});
}

TEST_F(PoolTest, PlacesAreThoseOfTheFile) {
  const Pool pool = open(write("p.jsonl", "\n{}\n\n{}\n"));
  EXPECT_EQ(pool.place(0), "line 2");
  EXPECT_EQ(pool.place(1), "line 4");
  EXPECT_EQ(open(write("p.json", "[{}, {}]")).place(1), "element 2");
}

TEST_F(PoolTest, AnArraysElementsAreRecordsWhateverTheyHold) {
  const Records expected = {"{\"a\": \"],[\\\"\\\\\"}", "[1, [2]]", "\"x\"", "5", "{}"};
  EXPECT_EQ(records(write("p.json", "[{\"a\": \"],[\\\"\\\\\"}, [1, [2]],\n \"x\" ,5,{} ]\n")), expected);
  EXPECT_EQ(records(write("e.json", " [ ] ")), Records{});
}

TEST_F(PoolTest, RecordsAreFoundAcrossTheBordersOfReads) {
  Records expected;
  std::string lines, array = "[";
  for (int i = 0; i < 300; ++i) {
    expected.push_back("{\"text\": \"" + std::string(static_cast<std::size_t>(i * 7), 'x') + "\"}");
    lines += expected.back() + "\n";
    array += (i > 0 ? ", " : "") + expected.back();
  }
  EXPECT_EQ(records(write("p.jsonl", lines)), expected);
  EXPECT_EQ(records(write("p.json", array + "]")), expected);
  EXPECT_EQ(records(write_gz("p.jsonl.gz", lines)), expected);
  EXPECT_EQ(open(folder_ / "p.jsonl.gz").fingerprint(), open(folder_ / "p.jsonl").fingerprint());
}

TEST_F(PoolTest, RefusesWhatIsNoArray) {
  for (const char* bytes : {"{}", "[", "[{}", "[{}]]", "[{}] {}", "[,{}]", "[{},]", "[{},,{}]", "[{}}", "[{\"a]", ""}) {
    EXPECT_THROW(open(write("p.json", bytes)), Error) << bytes;
  }
  EXPECT_THROW(open(write("p.txt", "text")), Error);
  EXPECT_THROW(open(folder_ / "missing.jsonl"), Error);
}

}  // namespace
}  // namespace lmbits
