// The checkpoints of a training run on disk: which files belong together, what they are called, their tensors.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "src/weights/safetensors.h"

namespace lmbits {

// One checkpoint: a safetensors file, or shards NAME-00001-of-00003.safetensors of one.
struct CheckpointFiles {
  std::string label;  // what tells it from the others: "step1000"
  std::vector<std::filesystem::path> files;
  std::string problem;  // why it cannot be whole; empty where nothing is known against it
};

// The checkpoints that shell patterns name (run/step*/model*.safetensors, run/step*, or plain paths), in the order of the
// numbers in their paths. A folder stands for the safetensors files in it; files that are shards of one checkpoint become
// one. Labels are what is left of the paths without the parts that all have in common. Throws Error(kData) for a pattern
// that nothing matches.
std::vector<CheckpointFiles> find_checkpoints(const std::vector<std::string>& patterns);

class Checkpoint {
 public:
  // Opens all files. Throws Error(kModel): a shard that is missing, a file that is damaged, a tensor that is in two files.
  explicit Checkpoint(const CheckpointFiles& files);

  // Null where there is no tensor of this name.
  const SafeTensor* find(const std::string& name) const;
  std::vector<std::string> names() const;  // in ascending order
  std::string where() const;               // its first file, for errors
  std::string fingerprint() const;         // over all bytes of all files: 32 hex digits
  void release() const;                    // see SafetensorsFile

 private:
  std::vector<SafetensorsFile> shards_;
};

}  // namespace lmbits
