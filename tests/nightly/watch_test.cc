#include "src/nightly/watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

class WatchTest : public ::testing::Test {
 protected:
  void put(const std::string& name, int age_s = 3600) {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << "weights";
    fs::last_write_time(folder / name, fs::file_time_type::clock::now() - std::chrono::seconds(age_s));
  }
  std::vector<WatchedCheckpoint> find() const {
    NightlyConfig absolute = config;
    for (std::string& pattern : absolute.watch) pattern = folder / pattern;
    return find_checkpoints(absolute);
  }
  testing::TemporaryFolder folder;
  NightlyConfig config;
};

TEST_F(WatchTest, FindsWhatMatchesOnceAndInOrder) {
  for (const char* name : {"run/step2/model.pt", "run/step1/model.pt", "run/step1/other.txt"}) put(name);
  config.watch = {"run/*/model.pt", "run/step1/*.pt", "nothing/*.pt"};
  const auto found = find();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].path, folder / "run/step1/model.pt");
  EXPECT_TRUE(found[0].waiting.empty());
}

TEST_F(WatchTest, LeavesHalfWrittenFilesAlone) {
  for (const char* name : {"a.pt.tmp", "b.part", ".c.pt", "d.partial"}) put(name);
  put("fresh.pt", 5);
  config.watch = {"*", ".*"};
  const auto found = find();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].waiting.find("changed 5 s ago"), std::string::npos) << found[0].waiting;
}

TEST_F(WatchTest, WaitsForTheMarker) {
  config.watch = {"*/model.pt"};
  config.ready = "READY";
  put("one/model.pt", 0);
  put("two/model.pt");
  put("one/READY");
  auto found = find();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(found[0].waiting.empty());
  EXPECT_EQ(found[1].waiting, "READY is not there");
  config.ready = "{}.done";
  put("two/model.pt.done");
  found = find();
  EXPECT_EQ(found[0].waiting, "model.pt.done is not there");
  EXPECT_TRUE(found[1].waiting.empty());
}

TEST_F(WatchTest, AFileFromTheFutureIsNotWaitedFor) {
  config.watch = {"*.pt"};
  put("future.pt", -86400);
  EXPECT_TRUE(find()[0].waiting.empty());
}

TEST_F(WatchTest, NamesModelsByTheRule) {
  config.watch = {"*/*.pt"};
  put("step100/model.pt");
  EXPECT_EQ(find()[0].model, folder / "step100/model.pt");
  config.name = "stem";
  EXPECT_EQ(find()[0].model, "model=" + (folder / "step100/model.pt").string());
  config.name = "folder";
  EXPECT_EQ(find()[0].model, "step100=" + (folder / "step100/model.pt").string());
}

TEST_F(WatchTest, AChangedFileHasAnotherStamp) {
  config.watch = {"*.pt"};
  put("a.pt");
  const std::string before = find()[0].stamp;
  EXPECT_EQ(find()[0].stamp, before);
  std::ofstream(folder / "a.pt", std::ios::app) << "more";
  EXPECT_NE(find()[0].stamp, before);
}

}  // namespace
}  // namespace lmbits
