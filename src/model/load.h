// Opens a model by what the user typed.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/model/language_model.h"
#include "src/weights/checkpoint.h"

namespace lmbits {

struct ModelSpec {
  std::string name;  // empty: the bundle's own, else the file's stem
  std::string path;  // NAME.pt (a bundle, or bare beside NAME.json), NAME.pt2 (a package), uniform:V or bigram:FILE
};

// "NAME=PATH" or "PATH".
ModelSpec parse_model_spec(const std::string& text);

class Device;

// The devices of a name, as open_cuda_devices (device.h): tests put others in its place.
using DeviceOpener = std::function<std::vector<std::unique_ptr<Device>>(const std::string& wanted)>;

struct LoadOptions {
  // Of weights and arithmetic: auto | float32 | bfloat16 | float16. auto: float32 on a CPU, on a GPU what lmbits.json states.
  // On a CPU also bfloat16-body | int8-body: the weights between embedding and head rounded to it, all else float32.
  std::string dtype = "auto";
  std::string device = "cpu";  // cpu | auto (cuda where there is a device) | cuda | cuda:N | cuda:0,cuda:1 | cuda:all
  bool fuse =
      true;  // our own kernels in the place of libtorch's operators, where the graph allows it; rounded weights need them
  bool graphs = true;                   // on a GPU, replay a small model's forward passes as CUDA graphs
  DeviceOpener open_devices = nullptr;  // null: open_cuda_devices
};

// "cpu", or a name for `open_devices`. Throws Error(kDevice) where there is no such device, Error(kConfig) for no name of one.
std::string resolve_device(const LoadOptions& options);

// Reads the metadata and the tokenizer and verifies the content hash; the weights wait for LanguageModel::load. Throws
// Error(kModel) with one line that says what is wrong.
std::unique_ptr<LanguageModel> open_model(const ModelSpec& spec, const LoadOptions& options);

// The checkpoints of a training run, as safetensors files, behind one bundle: its graph and its tokenizer are loaded
// once, the weights of one checkpoint at a time. Text that one of them has encoded is not encoded again by the next, as
// far as 256 MiB of ids go.
class ModelFamily {
 public:
  virtual ~ModelFamily() = default;
  // The model is named FAMILY-LABEL. Throws Error(kModel) where the checkpoint does not fit the graph: what is missing, of
  // another shape or left over, by name. One of a family's models may be loaded at a time; destroy it before the next.
  virtual std::unique_ptr<LanguageModel> open(const CheckpointFiles& checkpoint) = 0;
};

std::unique_ptr<ModelFamily> open_family(const ModelSpec& spec, const LoadOptions& options);

// What the file says of itself: metadata, level, methods, content hash and whether it matches, and what the probe found.
// Never throws for a broken bundle: `problem` then says what is wrong with it.
Json describe_model(const ModelSpec& spec, const LoadOptions& options);

// Once per process and thread: one thread per operator (parallelism is over batches), no recompilation at new shapes.
void prepare_torch();
void prepare_torch_thread();

// What this machine offers: libtorch's version, CPU capability, devices.
Json describe_torch();

}  // namespace lmbits
