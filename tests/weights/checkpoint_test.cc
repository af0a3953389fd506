#include "src/weights/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>

#include "src/core/error.h"
#include "src/core/file.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

class Checkpoints : public ::testing::Test {
 protected:
  // A file with one tensor of two bytes.
  void write(const std::string& path, const std::string& tensor = "a", const std::string& data = "xy") const {
    const std::string header = R"({")" + tensor + R"(":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})";
    std::string file(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(file.data(), &length, sizeof length);
    fs::create_directories((folder_ / path).parent_path());
    write_file_atomically(folder_ / path, file + header + data);
  }
  std::vector<std::string> labels(const std::vector<std::string>& patterns) const {
    std::vector<std::string> all;
    for (const CheckpointFiles& found : find(patterns)) all.push_back(found.label);
    return all;
  }
  std::vector<CheckpointFiles> find(std::vector<std::string> patterns) const {
    for (std::string& pattern : patterns) pattern = (folder_ / pattern).string();
    return find_checkpoints(patterns);
  }
  using Labels = std::vector<std::string>;
  testing::TemporaryFolder folder_;
};

TEST_F(Checkpoints, AreOrderedByTheNumbersInTheirPathsAndNamedByWhatDiffers) {
  for (const char* step : {"step10", "step2", "step100"}) write(std::string("run/") + step + "/model.safetensors");
  EXPECT_EQ(labels({"run/step*/model*.safetensors"}), (Labels{"step2", "step10", "step100"}));
  EXPECT_EQ(labels({"run/step*"}), (Labels{"step2", "step10", "step100"}));
  EXPECT_EQ(labels({"run/step10", "run/step10/model.safetensors"}), (Labels{"step10"}));
  write("flat/ckpt-5.safetensors");
  write("flat/ckpt-40.safetensors");
  EXPECT_EQ(labels({"flat/*"}), (Labels{"ckpt-5", "ckpt-40"}));
  EXPECT_EQ(labels({"flat/ckpt-5.safetensors"}), (Labels{"ckpt-5"}));
  EXPECT_EQ(labels({"run/step2/*", "flat/ckpt-5*"}), (Labels{"flat-ckpt-5", "run-step2-model"}));
}

TEST_F(Checkpoints, ShardsAreOneCheckpoint) {
  for (const char* step : {"a", "b"}) {
    write(std::string(step) + "/model-00001-of-00002.safetensors", "first", "11");
    write(std::string(step) + "/model-00002-of-00002.safetensors", "second", "22");
  }
  const auto found = find({"*/model*.safetensors"});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].label, "a");
  const Checkpoint checkpoint(found[0]);
  ASSERT_NE(checkpoint.find("second"), nullptr);
  EXPECT_EQ(checkpoint.find("second")->bytes, "22");
  EXPECT_EQ(checkpoint.find("third"), nullptr);
  EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(checkpoint.fingerprint(), Checkpoint(found[1]).fingerprint());
  write("b/model-00002-of-00002.safetensors", "second", "23");
  EXPECT_NE(checkpoint.fingerprint(), Checkpoint(found[1]).fingerprint());
}

TEST_F(Checkpoints, AMissingShardAndATensorInTwoAreNamed) {
  write("s/m-00001-of-00003.safetensors", "a");
  write("s/m-00003-of-00003.safetensors", "c");
  const auto problem = [&] {
    try {
      const Checkpoint checkpoint(find({"s"})[0]);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_NE(problem().find("shard 2 of 3 is missing"), std::string::npos) << problem();
  write("s/m-00002-of-00003.safetensors", "a");
  EXPECT_NE(problem().find("tensor a is in"), std::string::npos) << problem();
  write("s/m-00002-of-00003.safetensors", "b");
  EXPECT_EQ(problem(), "");
}

TEST_F(Checkpoints, APatternWithoutAMatchIsAnError) {
  EXPECT_THROW(find({"nothing*"}), Error);
  fs::create_directories(folder_ / "empty");
  EXPECT_THROW(find({"empty"}), Error);
}

}  // namespace
}  // namespace lmbits
