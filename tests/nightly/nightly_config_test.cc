#include "src/nightly/nightly_config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "src/core/error.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

class NightlyConfigTest : public ::testing::Test {
 protected:
  NightlyConfig read(const std::string& text) {
    std::ofstream(folder / "night.json", std::ios::trunc) << text;
    return read_nightly_config(folder / "night.json");
  }
  void refuses(const std::string& text, const std::string& because) {
    try {
      read(text);
      FAIL() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kConfig) << text;
      EXPECT_NE((std::string(e.what()) + e.hint()).find(because), std::string::npos) << e.what() << " / " << e.hint();
    }
  }
  testing::TemporaryFolder folder;
  const std::string corpora = R"("corpora": [{"path": "a.txt"}])";
};

TEST_F(NightlyConfigTest, PathsAreRelativeToTheFile) {
  const NightlyConfig config = read(R"({"watch": ["run/*/model.pt", "/abs/*.pt"], "tasks": ["q.jsonl"], "output": "out",
                                        "corpora": [{"name": "p", "path": "texts/p.txt", "split": "4096"},
                                                    {"path": "a.ppm", "patch": "8x16"}]})");
  EXPECT_EQ(config.watch[0], folder / "run/*/model.pt");
  EXPECT_EQ(config.watch[1], "/abs/*.pt");
  EXPECT_EQ(config.tasks[0], folder / "q.jsonl");
  EXPECT_EQ(config.output, folder / "out");
  EXPECT_EQ(config.corpora[0].path, folder / "texts/p.txt");
  EXPECT_EQ(config.corpora[0].split, "4096");
  EXPECT_EQ(config.corpora[0].patch, "32x64");
  EXPECT_EQ(config.corpora[1].patch, "8x16");
}

TEST_F(NightlyConfigTest, MayHoldComments) {
  EXPECT_EQ(read("{\"watch\": [\"x\"], // all\n" + corpora + "}").corpora[0].name, "a");
}

TEST_F(NightlyConfigTest, RefusesWhatItDoesNotKnow) {
  refuses("{", "is not JSON");
  refuses("{\"watch\": [\"x\"], " + corpora + ", \"alhpa\": 0.1}", "did you mean alpha?");
  refuses(R"({"watch": ["x"], "corpora": [{"path": "a", "spilt": "1"}]})", "did you mean split?");
  refuses(R"({"watch": ["x"], "corpora": [{"path": "a", "patch": "8"}]})", "corpora[0]: patch is \"8\"");
  refuses("{" + corpora + "}", "watch is missing");
  refuses(R"({"watch": ["x"]})", "corpora is missing");
  refuses(R"({"watch": ["x"], "corpora": [{"name": "a"}]})", "path is missing");
  refuses("{\"watch\": \"x\", " + corpora + "}", "wrong kind");
  refuses("{\"watch\": [\"x\"], " + corpora + ", \"alpha\": 0.7}", "between 0 and 0.5");
  refuses("{\"watch\": [\"x\"], " + corpora + ", \"name\": \"steam\"}", "did you mean stem?");
  refuses("{\"watch\": [\"x\"], " + corpora + ", \"max_regression\": -1}", "negative");
}

}  // namespace
}  // namespace lmbits
