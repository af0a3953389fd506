#include "src/model/load.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/native/DispatchStub.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/InferenceMode.h>
#include <malloc.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/version.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/model/archive.h"
#include "src/model/bundle.h"
#include "src/model/device_scorer.h"
#include "src/model/head_nll.h"
#include "src/model/package.h"
#include "src/model/probe.h"
#include "src/model/torch_module.h"
#include "src/model/torch_predictor.h"
#include "src/model/weightless.h"
#include "src/tokenizer/make_tokenizer.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

// Activations alive at once, per position and unit of the hidden width, in bytes: the residual stream, a block's
// products (q, k, v; gate and value at 8/3 of the width) and their temporaries, float32.
constexpr std::int64_t kActivationBytes = 4 * 24;

// Parameters; of more, starting kernels is not what takes the time.
constexpr std::int64_t kSmallModel = 300'000'000;

// Of the norm of the hidden states: rounding in another order gives 1e-6; rounded weights gave 2e-3 to 5e-3 (bfloat16) and
// 1.5e-2 to 2.4e-2 (int8) with the demo models and SmolLM2-135M.
constexpr double kFusedTolerance = 1e-4, kBFloat16Tolerance = 2e-2, kInt8Tolerance = 1e-1;

WeightDtype parse_dtype(const std::string& text) {
  if (text == "auto") return WeightDtype::kAuto;
  if (text == "float32" || text == "fp32") return WeightDtype::kFloat32;
  if (text == "bfloat16" || text == "bf16") return WeightDtype::kBFloat16;
  if (text == "float16" || text == "fp16") return WeightDtype::kFloat16;
  if (text == "bfloat16-body") return WeightDtype::kBFloat16Body;
  if (text == "int8-body") return WeightDtype::kInt8Body;
  throw Error(ErrorKind::kConfig, "--dtype " + text + " is not known",
              "use auto, float32, bfloat16, float16, bfloat16-body or int8-body");
}

// What `auto` stands for on a GPU: the bundle's own.
WeightDtype stated_dtype(const BundleMetadata& metadata) {
  const auto stated = metadata.json.find("dtype");
  if (stated == metadata.json.end() || !stated->is_string()) return WeightDtype::kFloat32;
  const auto text = stated->get<std::string>();
  return text == "bfloat16" || text == "float16" ? parse_dtype(text) : WeightDtype::kFloat32;
}

// None: the CPU. `options.device` is resolved.
std::vector<std::unique_ptr<Device>> open_devices(const LoadOptions& options) {
  if (options.device == "cpu") return {};
  return options.open_devices ? options.open_devices(options.device) : open_cuda_devices(options.device);
}

const char* dtype_name(WeightDtype dtype) {
  switch (dtype) {
    case WeightDtype::kBFloat16:
      return "bfloat16";
    case WeightDtype::kFloat16:
      return "float16";
    case WeightDtype::kBFloat16Body:
      return "bfloat16-body";
    case WeightDtype::kInt8Body:
      return "int8-body";
    default:
      return "float32";
  }
}

kernels::WeightFormat body_format(WeightDtype dtype) {
  return dtype == WeightDtype::kBFloat16Body ? kernels::WeightFormat::kBFloat16
         : dtype == WeightDtype::kInt8Body   ? kernels::WeightFormat::kInt8
                                             : kernels::WeightFormat::kFloat32;
}

// A bundle's lmbits.json, else the sidecar NAME.json beside a bare archive.
BundleMetadata find_metadata(const Archive& archive) {
  const fs::path sidecar = fs::path(archive.path).replace_extension(".json");
  const bool inside = !archive.metadata.empty();
  if (!inside && !fs::exists(sidecar)) {
    throw Error(ErrorKind::kModel, archive.path + " holds no lmbits.json, and there is no " + sidecar.string(),
                "write that file: its fields are listed in docs/formats.md");
  }
  const std::string where = inside ? archive.path + ": lmbits.json" : sidecar.string();
  try {
    return parse_bundle_metadata(Json::parse(inside ? archive.metadata : read_file(sidecar.string())), where);
  } catch (const Json::exception&) {
    throw Error(ErrorKind::kModel, where + " is not JSON");
  }
}

std::unique_ptr<Tokenizer> open_tokenizer(const BundleMetadata& metadata, const std::string& path) {
  TokenizerSource source{.kind = metadata.tokenizer_kind,
                         .bytes = {},
                         .pattern = metadata.tokenizer_pattern,
                         .vocab_size = metadata.vocab_size,
                         .bos_id = metadata.bos_id,
                         .eos_id = metadata.eos_id};
  if (source.kind != "bytes") {
    source.bytes = read_extra_file(path, metadata.tokenizer_file);
    const fs::path sidecar = fs::path(path).parent_path() / metadata.tokenizer_file;
    if (source.bytes.empty() && fs::is_regular_file(sidecar)) source.bytes = read_file(sidecar.string());
    if (source.bytes.empty()) {
      throw Error(ErrorKind::kModel, path + ": the tokenizer's file \"" + metadata.tokenizer_file +
                                         "\" is neither in the archive nor beside it");
    }
  }
  return make_tokenizer(source, path);
}

void verify_hash(const Archive& archive, const BundleMetadata& metadata) {
  if (metadata.content_hash && *metadata.content_hash != archive.content_hash) {
    throw Error(ErrorKind::kModel,
                archive.path + " is corrupted: lmbits.json states the content hash " + *metadata.content_hash +
                    ", the file's is " + archive.content_hash,
                "copy or export the file again");
  }
}

// A bundle before its weights are loaded.
struct Bundle {
  Bundle(const ModelSpec& model, const LoadOptions& load_options)
      : spec(model),
        options(load_options),
        dtype(parse_dtype(options.dtype)),
        archive(read_archive(spec.path)),
        metadata(find_metadata(archive)) {
    verify_hash(archive, metadata);
    tokenizer = open_tokenizer(metadata, spec.path);
    // BOS and EOS are fed, not predicted: no text becomes one, and they may lie beyond what the model predicts.
    std::int64_t n_ids = tokenizer->vocab_size();
    while (n_ids > metadata.vocab_size && (metadata.bos_id == n_ids - 1 || metadata.eos_id == n_ids - 1)) --n_ids;
    if (n_ids > metadata.vocab_size) {
      throw Error(ErrorKind::kModel,
                  spec.path + ": the tokenizer has " + std::to_string(tokenizer->vocab_size()) +
                      " ids, the model predicts ids below " + std::to_string(metadata.vocab_size),
                  "set vocab_size in lmbits.json to the ids that exist, or take the tokenizer of this model");
    }
  }

  ModelSpec spec;
  LoadOptions options;
  WeightDtype dtype;
  Archive archive;
  BundleMetadata metadata;
  std::unique_ptr<Tokenizer> tokenizer;
};

// With the dtype that `auto` stands for on the device.
Bundle open_bundle(const ModelSpec& spec, const LoadOptions& options) {
  Bundle bundle(spec, options);
  const bool is_package = !bundle.archive.package.empty();
  bundle.options.device = is_package && options.device == "auto" ? "cpu" : resolve_device(options);
  const bool on_cpu = bundle.options.device == "cpu";
  if (is_package) {
    if (!on_cpu) {
      throw Error(ErrorKind::kUnsupported, spec.path + " is compiled for a CPU, not for --device " + options.device,
                  "leave --device out, or use the model's TorchScript bundle (.pt)");
    }
    if (bundle.dtype != WeightDtype::kAuto && bundle.dtype != WeightDtype::kFloat32) {
      throw Error(ErrorKind::kConfig, spec.path + " is compiled for float32, not for --dtype " + options.dtype,
                  "leave --dtype out, or use the model's TorchScript bundle (.pt)");
    }
  }
  if (!on_cpu && body_format(bundle.dtype) != kernels::WeightFormat::kFloat32) {
    throw Error(ErrorKind::kUnsupported,
                "--dtype " + options.dtype + " runs on the CPU, not on --device " + bundle.options.device,
                "use --dtype bfloat16 or float16");
  }
  if (!on_cpu && bundle.dtype == WeightDtype::kAuto) bundle.dtype = stated_dtype(bundle.metadata);
  return bundle;
}

// Makes the module anew: it is wanted a second time where our kernels turn out not to fit its graph.
using ModuleMaker = std::function<std::unique_ptr<ModelGraph>(at::Device)>;

class TorchModel final : public LanguageModel {
 public:
  TorchModel(const Bundle& bundle, std::shared_ptr<Tokenizer> tokenizer, ModuleMaker make_module,
             std::vector<std::unique_ptr<Device>> devices = {})
      : path_(bundle.spec.path),
        metadata_(bundle.metadata),
        make_module_(std::move(make_module)),
        load_steps_([path = path_, dtype = bundle.dtype] { return load_for_steps(path, dtype); }),
        format_(body_format(bundle.dtype)),
        fuse_(format_ != kernels::WeightFormat::kFloat32 ||
              (bundle.options.fuse && dtype_name(bundle.dtype) == std::string("float32"))),
        graphs_(bundle.options.graphs && metadata_.n_parameters <= kSmallModel),
        devices_(std::move(devices)) {
    tokenizer_ = std::move(tokenizer);
    if (format_ != kernels::WeightFormat::kFloat32) load_steps_ = {};  // it would take the weights as they are
    if (!devices_.empty()) {
      info_.device.clear();
      for (const auto& each : devices_) info_.device += (info_.device.empty() ? "" : ",") + each->name();
      info_.n_workers = static_cast<std::int64_t>(devices_.size() * kDeviceStreams);
    }
    head_ = {
        .vocab_size = metadata_.vocab_size, .logit_scale = metadata_.logit_scale, .softcap = metadata_.logit_softcap};
    info_.name = !bundle.spec.name.empty() ? bundle.spec.name
                 : !metadata_.name.empty() ? metadata_.name
                                           : fs::path(path_).stem().string();
    info_.fingerprint = Fingerprint().add(bundle.archive.content_hash).add(metadata_.json.dump()).hex();
    info_.context_length = metadata_.context_length;
    info_.vocab_size = metadata_.vocab_size;
    info_.bos_id = metadata_.bos_id;
    info_.eos_id = metadata_.eos_id;
    info_.dtype = dtype_name(bundle.dtype);
    info_.n_parameters = metadata_.n_parameters;
    info_.metadata = metadata_.json;
  }

  // Of a checkpoint of the family: its own name, its own fingerprint, its own training.
  void rename(const std::string& label, const Checkpoint& checkpoint) {
    info_.name += "-" + label;
    info_.fingerprint = Fingerprint().add(info_.fingerprint).add(checkpoint.fingerprint()).hex();
    info_.metadata["family"] = info_.metadata.value("name", Json(nullptr));
    info_.metadata["source"] = checkpoint.where();
    info_.metadata.erase("content_hash");  // the bundle's
    info_.metadata["training"] = {{"step", last_number(label)}};
    path_ = checkpoint.where();
    load_steps_ = {};  // it would load the bundle's own weights
  }

  void warn(const std::string& text) { info_.warnings.push_back(text); }

  void load() override {
    if (module_ || pool_) return;
    prepare_torch();
    if (!devices_.empty()) return load_on_devices();
    std::unique_ptr<ModelGraph> module = make_module_(at::kCPU);
    const ProbeResult probed = probe(*module, metadata_, path_);
    if (fuse_) module = fuse_kernels(std::move(module));
    module_ = std::move(module);
    if (module_->level() == 2) weight_head_.emplace(module_->head_weight(), module_->head_bias(), head_);
    any_shape_ = fuse_ && shape_changes_nothing();
    describe(*module_, probed);
  }

  std::unique_ptr<Predictor> predictor(std::optional<Decoding> wanted) const override {
    if (pool_) {
      throw Error(ErrorKind::kConfig, "whole distributions are computed on a CPU, and the device is " + info_.device,
                  "give --device cpu");
    }
    std::call_once(predictors_once_, [this] {
      predictors_.emplace(*module_, weight_head_ ? &*weight_head_ : nullptr, metadata_.vocab_size,
                          metadata_.context_length, has_step_ ? load_steps_ : StepsLoader());
    });
    return predictors_->make(path_, wanted);
  }

  bool takes_branches() const override {
    if (pool_) return false;
    if (!takes_branches_) takes_branches_ = branches_change_nothing();
    return *takes_branches_;
  }

  void score(const Batch& batch, std::vector<double>& bits, std::vector<std::uint8_t>* most_probable) const override {
    if (pool_) return pool_->score(batch, {.bits = &bits, .most_probable = most_probable});
    const c10::InferenceMode inference;
    at::Tensor ids =
        at::from_blob(const_cast<std::int64_t*>(batch.ids.data()), {batch.n_sequences, batch.n_positions}, at::kLong);
    at::Tensor rows = at::from_blob(const_cast<std::int64_t*>(batch.rows.data()),
                                    {static_cast<std::int64_t>(batch.rows.size())}, at::kLong);
    LMBITS_CHECK(batch.branches.empty() || takes_branches());
    if (any_shape_ && batch.branches.empty() && !batch.rows.empty()) leave_padding_away(ids, rows);
    const at::Tensor chosen = module_->rows(ids, rows, tensor_of(batch.branches));
    if (weight_head_) {
      weight_head_->score(chosen, batch.targets, bits, most_probable);
      return;
    }
    logit_bits(
        [&](std::int64_t first, std::int64_t n) {
          const at::Tensor part = chosen.slice(0, first, first + n);
          return module_->level() == 1 ? module_->head(part) : part;
        },
        batch.targets, head_, bits, most_probable);
  }

  bool adds_up() const override { return pool_ != nullptr; }

  void sum(const Batch& batch, const std::vector<std::int64_t>& begins,
           std::vector<kernels::NllSum>& sums) const override {
    if (!pool_) return LanguageModel::sum(batch, begins, sums);
    pool_->score(batch, {.begins = &begins, .sums = &sums});
  }

  Json devices() const override { return pool_ ? pool_->describe() : Json::array(); }

 private:
  void describe(const ModelGraph& module, const ProbeResult& probed) {
    has_step_ = module.has_step();
    info_.metadata["level"] = has_step_ && module.level() == 2 ? 3 : module.level();
    info_.bytes_per_position = module.level() == 0 ? 8 * probed.n_columns : probed.hidden_size * kActivationBytes;
    if (module.level() == 0) info_.warnings.push_back("the bundle is of level 0: every position pays for the head");
    if (!metadata_.content_hash)
      info_.warnings.push_back("the bundle states no content hash: corruption goes unnoticed");
  }

  // A copy of the weights on each device; the first is probed.
  void load_on_devices() {
    std::vector<std::unique_ptr<DeviceScorer>> scorers;
    for (auto& device : devices_) {
      std::unique_ptr<ModelGraph> module = make_module_(device->place());
      if (scorers.empty()) describe(*module, probe(*module, metadata_, path_));
      if (const auto problem = device->problem()) {  // also waits for the weights, which came on another stream
        throw Error(ErrorKind::kDevice, device->name() + ": " + *problem);
      }
      scorers.push_back(std::make_unique<DeviceScorer>(std::move(device), std::move(module), head_, graphs_));
    }
    devices_.clear();
    pool_ = std::make_unique<DevicePool>(std::move(scorers));
  }

  static at::Tensor tensor_of(const std::vector<Branch>& branches) {  // [K,4]
    const at::Tensor tensor = at::empty({std::ssize(branches), 4}, at::kLong);
    std::int64_t* at = tensor.data_ptr<std::int64_t>();
    for (const Branch& b : branches)
      for (const std::int64_t value : {b.sequence, b.begin, b.end, b.trunk}) *at++ = value;
    return tensor;
  }

  // Without the sequences and the last positions of which no row is asked for.
  static void leave_padding_away(at::Tensor& ids, at::Tensor& rows) {
    const std::int64_t length = ids.size(1);
    const at::Tensor place = rows.remainder(length), sequence = rows.floor_divide(length);
    const std::int64_t n = sequence.max().item<std::int64_t>() + 1, longest = place.max().item<std::int64_t>() + 1;
    ids = ids.slice(0, 0, n).slice(1, 0, longest).contiguous();
    rows = sequence * longest + place;
  }

  // Does a row come out the same, to the last bit, whatever pads its batch? By what the graph is made of, and on made-up ids.
  bool shape_changes_nothing() const {
    if (!module_->step_graph(std::min<std::int64_t>(metadata_.context_length, 64))) return false;
    const c10::InferenceMode inference;
    const std::int64_t longest = std::min<std::int64_t>(metadata_.context_length, 43);
    const at::Tensor all =
        (at::arange(3 * longest, at::kLong).reshape({3, longest}) * 7919 + 17).remainder(metadata_.vocab_size);
    const at::Tensor rows = at::cat({at::arange(0, longest / 2), at::arange(longest, longest + longest / 2)});
    at::Tensor fewer = all, same_rows = rows;
    leave_padding_away(fewer, same_rows);
    return longest < 2 || at::equal(module_->rows(all, rows), module_->rows(fewer, same_rows));
  }

  // Does the graph give a branch the very numbers of the sequence that it stands for? Where it has positions or mixes
  // them in another way than those we know, it does not.
  bool branches_change_nothing() const {
    constexpr std::int64_t kTrunk = 21, kEnd = 30, kBranch = 9, kLength = kEnd + kBranch;
    if (metadata_.context_length < kLength) return false;
    const c10::InferenceMode inference;
    const auto made_up = [&](std::int64_t first, std::int64_t n) {
      return ((at::arange(first, first + n, at::kLong) * 7919 + 17) * 31).remainder(metadata_.vocab_size);
    };
    const at::Tensor start = made_up(0, kTrunk), straight = made_up(100, kLength - kTrunk),
                     other = made_up(200, kBranch);
    const at::Tensor plain =
        at::stack({at::cat({start, straight}), at::cat({start, other, made_up(300, kLength - kEnd)})});
    const at::Tensor packed =
        at::stack({made_up(400, kLength), at::cat({start, straight.slice(0, 0, kEnd - kTrunk), other})});
    const auto rows = [](std::int64_t first) { return at::arange(first, first + kBranch, at::kLong); };
    try {
      const at::Tensor own = module_->rows(plain, rows(kLength + kTrunk));
      const at::Tensor branch = module_->rows(packed, rows(kLength + kEnd), tensor_of({{1, kEnd, kLength, kTrunk}}));
      return at::equal(own, branch);
    } catch (const Error&) {
      return false;
    }
  }

  // The module with our kernels in it, if it still computes what it did.
  std::unique_ptr<ModelGraph> fuse_kernels(std::unique_ptr<ModelGraph> module) {
    const c10::InferenceMode inference;
    const std::int64_t length = std::min<std::int64_t>(96, metadata_.context_length);
    const at::Tensor ids =
        (at::arange(2 * length, at::kLong).reshape({2, length}) * 7919 + 17).remainder(metadata_.vocab_size);
    const at::Tensor rows = at::arange(0, 2 * length, 3, at::kLong);
    const at::Tensor expected = module->rows(ids, rows);
    const bool rounded = format_ != kernels::WeightFormat::kFloat32;
    // Puts them in and returns what is wrong then.
    const auto fuse = [&](kernels::WeightFormat format, double tolerance) -> std::string {
      if (module->fuse_kernels(format) == 0) {
        return rounded ? "it has no linear map that they know, or this machine no vector instructions" : "";
      }
      const double error = (module->rows(ids, rows) - expected).norm().item<double>() / expected.norm().item<double>();
      if (format != kernels::WeightFormat::kFloat32) info_.metadata["rounding"] = error;
      if (error < tolerance) return {};
      return std::string(format == kernels::WeightFormat::kFloat32 ? "" : "rounded ") + "they change it by " +
             std::to_string(error) + " of its norm";
    };
    std::string problem;
    try {
      problem = fuse(kernels::WeightFormat::kFloat32, kFusedTolerance);
      if (rounded && problem.empty()) {  // the graph is read rightly: what is left is what rounding changes
        module.reset();
        module = make_module_(at::kCPU);
        problem = fuse(format_, format_ == kernels::WeightFormat::kInt8 ? kInt8Tolerance : kBFloat16Tolerance);
      }
      if (problem.empty()) return module;
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kUnsupported) throw;
      problem = e.what();
    }
    if (rounded) refuse_rounding(problem);
    info_.warnings.push_back("libtorch's operators are used: our kernels do not compute what this graph does (" +
                             problem + ")");
    module.reset();
    return make_module_(at::kCPU);
  }

  [[noreturn]] void refuse_rounding(const std::string& why) const {
    throw Error(ErrorKind::kUnsupported,
                path_ + ": --dtype " + info_.dtype + " needs our kernels in the model's graph, and " + why,
                "use --dtype float32 or bfloat16");
  }

  // The number that a label ends in: its step; null where there is none.
  static Json last_number(const std::string& label) {
    const std::size_t begin = label.find_last_not_of("0123456789") + 1;
    if (begin == label.size() || label.size() - begin > 15) return nullptr;
    return std::stoll(label.substr(begin));
  }

  std::string path_;  // in errors
  BundleMetadata metadata_;
  ModuleMaker make_module_;
  StepsLoader load_steps_;
  kernels::WeightFormat format_;
  bool fuse_;
  mutable std::optional<bool> takes_branches_;  // known once asked for
  bool graphs_;
  std::vector<std::unique_ptr<Device>> devices_;  // until load()
  std::unique_ptr<DevicePool> pool_;              // of a model on devices
  std::unique_ptr<ModelGraph> module_;            // of one on the CPU
  HeadOptions head_{};
  std::optional<WeightHead> weight_head_;
  mutable std::optional<TorchPredictors> predictors_;
  bool has_step_ = false;
  bool any_shape_ = false;  // a row is the same, to the last bit, whatever pads its batch
  mutable std::once_flag predictors_once_;
};

c10::ScalarType scalar_type_of(const std::string& dtype, const std::string& where) {
  if (dtype == "F32") return at::kFloat;
  if (dtype == "F16") return at::kHalf;
  if (dtype == "BF16") return at::kBFloat16;
  throw Error(ErrorKind::kModel, where + " is of dtype " + dtype, "weights may be F32, F16 or BF16");
}

// Which tensor of a checkpoint is which parameter of the archive, as the exporter wrote it.
struct WeightNames {
  std::map<std::string, std::string> tensors;  // parameter -> tensor
  std::set<std::string> unused;                // tensors of the exported checkpoint itself that are no parameter
};

WeightNames read_weight_names(const std::string& path) {
  const std::string text = read_extra_file(path, "weights.json");
  if (text.empty()) return {};
  try {
    const Json json = Json::parse(text);
    return {json.at("tensors").get<std::map<std::string, std::string>>(),
            json.at("unused").get<std::set<std::string>>()};
  } catch (const Json::exception&) {
    throw Error(ErrorKind::kModel, path + ": weights.json is not what docs/formats.md describes");
  }
}

// A graph, and the weights that are put into it: of a bundle's archive, or of a package, which has none of its own.
class SwappableGraph {
 public:
  explicit SwappableGraph(const Bundle& bundle)
      : path_(bundle.spec.path), dtype_(bundle.dtype), names_(read_weight_names(path_)) {
    if (!bundle.archive.package.empty()) {
      package_ = std::make_shared<Package>(bundle.archive, bundle.metadata);
      shapes_ = package_->parameters();
    } else {
      frame_ = read_frame(path_);
      shapes_ = frame_.shapes;
    }
    for (const auto& [parameter, shape] : shapes_) names_.tensors.try_emplace(parameter, parameter);
  }

  // Every parameter has its tensor, every tensor its parameter.
  void check_fit(const Checkpoint& checkpoint) const {
    std::set<std::string> used;
    for (const auto& [parameter, shape] : shapes_) {
      const std::string& name = names_.tensors.at(parameter);
      const SafeTensor* tensor = checkpoint.find(name);
      const std::string what = checkpoint.where() + ": tensor " + name;
      if (tensor == nullptr) {
        throw Error(ErrorKind::kModel, what + " is missing, which is " + parameter + " of " + path_,
                    "is it a checkpoint of this model? It holds " + some_of(checkpoint.names()));
      }
      if (tensor->shape != shape) {
        throw Error(ErrorKind::kModel, what + " is " + shape_text(tensor->shape) + ", " + parameter + " of " + path_ +
                                           " is " + shape_text(shape));
      }
      scalar_type_of(tensor->dtype, what);
      used.insert(name);
    }
    for (const std::string& name : checkpoint.names()) {
      if (used.contains(name) || names_.unused.contains(name)) continue;
      const std::string_view bytes = checkpoint.find(name)->bytes;  // a tied weight may be written twice
      const bool twin = std::any_of(used.begin(), used.end(),
                                    [&](const std::string& other) { return checkpoint.find(other)->bytes == bytes; });
      if (twin) continue;
      throw Error(ErrorKind::kModel, checkpoint.where() + ": tensor " + name + " is no parameter of " + path_,
                  "export the family again from this checkpoint");
    }
  }

  // What a file that was laid out and never filled looks like; empty where it does not.
  std::string warn_of_zeros(const Checkpoint& checkpoint) const {
    std::string first;
    int n = 0;
    for (const auto& [parameter, shape] : shapes_) {
      const std::string_view bytes = checkpoint.find(names_.tensors.at(parameter))->bytes;
      if (shape.size() < 2 || bytes.find_first_not_of('\0') != std::string_view::npos) continue;
      if (n++ == 0) first = names_.tensors.at(parameter);
    }
    if (n == 0) return {};
    return std::to_string(n) + " of its matrices hold only zeros (" + first +
           "): was the checkpoint written to its end?";
  }

  // The checkpoint must live as long as what is made: a package reads float32 where it lies in the mapped file.
  std::unique_ptr<ModelGraph> with_weights_of(const Checkpoint& checkpoint, at::Device device) const {
    std::map<std::string, at::Tensor> tensors;  // by tensor: tied parameters have one
    const auto weights = [&](const std::string& parameter) {
      const std::string& name = names_.tensors.at(parameter);
      at::Tensor& tensor = tensors[name];
      if (!tensor.defined())
        tensor = package_ ? mapped(*checkpoint.find(name)) : copied(*checkpoint.find(name), device);
      return tensor;
    };
    if (package_) return std::make_unique<PackageModule>(checkpoint.where(), package_, weights);
    auto module = std::make_unique<TorchModule>(checkpoint.where(), frame_, dtype_, weights, device);
    checkpoint.release();
    return module;
  }

 private:
  static at::Tensor mapped(const SafeTensor& tensor) {
    return at::from_blob(const_cast<char*>(tensor.bytes.data()), tensor.shape, scalar_type_of(tensor.dtype, {}))
        .to(at::kFloat);
  }

  at::Tensor copied(const SafeTensor& tensor, at::Device device) const {
    at::Tensor copy = at::empty(tensor.shape, scalar_type_of(tensor.dtype, {}));
    if (!tensor.bytes.empty()) std::memcpy(copy.mutable_data_ptr(), tensor.bytes.data(), tensor.bytes.size());
    return copy.to(device, dtype_ == WeightDtype::kAuto ? at::kFloat : copy.scalar_type());
  }

  static std::string some_of(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 3); ++i) text += names[i] + ", ";
    return names.size() > 3 ? text + "..." : text.substr(0, text.size() - std::min<std::size_t>(text.size(), 2));
  }

  std::string path_;
  WeightDtype dtype_;
  WeightNames names_;
  std::map<std::string, std::vector<std::int64_t>> shapes_;  // of the parameters
  std::shared_ptr<Package> package_;                         // or the frame
  ArchiveFrame frame_;
};

class TorchFamily final : public ModelFamily {
 public:
  TorchFamily(const ModelSpec& spec, const LoadOptions& options)
      : bundle_(open_bundle(spec, options)),
        graph_(std::make_shared<const SwappableGraph>(bundle_)),
        tokenizer_(std::move(bundle_.tokenizer)) {}

  std::unique_ptr<LanguageModel> open(const CheckpointFiles& files) override {
    malloc_trim(0);  // the last one's memory, before another is laid out between what is left of it
    const auto checkpoint = std::make_shared<const Checkpoint>(files);
    graph_->check_fit(*checkpoint);
    auto model = std::make_unique<TorchModel>(
        bundle_, tokenizer_,
        [graph = graph_, checkpoint](at::Device device) { return graph->with_weights_of(*checkpoint, device); },
        open_devices(bundle_.options));
    model->rename(files.label, *checkpoint);
    if (const std::string zeros = graph_->warn_of_zeros(*checkpoint); !zeros.empty()) model->warn(zeros);
    checkpoint->release();
    return model;
  }

 private:
  Bundle bundle_;
  std::shared_ptr<const SwappableGraph> graph_;
  std::shared_ptr<Tokenizer> tokenizer_;
};

// The package with the weights beside it.
std::unique_ptr<LanguageModel> open_package(Bundle& bundle) {
  const std::string& path = bundle.spec.path;
  if (bundle.metadata.weights_file.empty()) {
    throw Error(ErrorKind::kModel, path + ": lmbits.json names no file of weights",
                "give --weights, or export it again");
  }
  const fs::path file = fs::path(path).parent_path() / fs::path(bundle.metadata.weights_file).filename();
  if (!fs::exists(file)) {
    throw Error(ErrorKind::kModel, path + ": its weights " + file.string() + " are not there",
                "copy them with the package, or give --weights");
  }
  const auto checkpoint = std::make_shared<const Checkpoint>(CheckpointFiles{{}, {file}, {}});
  if (const std::string hash = checkpoint->fingerprint(); hash != bundle.metadata.weights_hash) {
    throw Error(ErrorKind::kModel,
                file.string() + " is corrupted, or of another model: " + path + " states the hash " +
                    bundle.metadata.weights_hash + ", the file's is " + hash,
                "copy or export the files again");
  }
  const auto graph = std::make_shared<const SwappableGraph>(bundle);
  graph->check_fit(*checkpoint);
  return std::make_unique<TorchModel>(bundle, std::move(bundle.tokenizer), [graph, checkpoint](at::Device device) {
    return graph->with_weights_of(*checkpoint, device);
  });
}

}  // namespace

ModelSpec parse_model_spec(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return {{}, text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::string resolve_device(const LoadOptions& options) {
  const std::string& name = options.device;
  if (name == "cpu") return name;
  if (name == "auto") return options.open_devices || !why_no_cuda_device() ? "cuda" : "cpu";
  if (name != "cuda" && !name.starts_with("cuda:")) {
    throw Error(ErrorKind::kConfig, "--device " + name + " is not known",
                "use cpu, auto, cuda, cuda:N, cuda:0,cuda:1 or cuda:all");
  }
  if (!options.open_devices) {
    if (const auto why = why_no_cuda_device()) {
      throw Error(ErrorKind::kDevice, "--device " + name + ": there is no CUDA device: " + *why,
                  "use --device cpu or auto; lmbits doctor shows what this machine offers");
    }
  }
  return name;
}

std::unique_ptr<LanguageModel> open_model(const ModelSpec& spec, const LoadOptions& options) {
  resolve_device(options);  // also where it plays no part: a device that is not there is an error
  if (spec.path.starts_with("uniform:")) {
    std::int64_t vocab = 0;
    const char* first = spec.path.data() + 8;
    const char* last = spec.path.data() + spec.path.size();
    if (std::from_chars(first, last, vocab).ptr != last) vocab = -1;
    return make_uniform_model(spec.name, vocab);
  }
  if (spec.path.starts_with("bigram:")) {
    const std::string file = spec.path.substr(7);
    return make_bigram_model(spec.name.empty() ? "bigram-" + fs::path(file).stem().string() : spec.name,
                             read_file(file));
  }
  Bundle bundle = open_bundle(spec, options);
  if (!bundle.archive.package.empty()) return open_package(bundle);
  const ModuleMaker make = [path = spec.path, dtype = bundle.dtype](at::Device place) {
    return std::make_unique<TorchModule>(path, dtype, place);
  };
  return std::make_unique<TorchModel>(bundle, std::move(bundle.tokenizer), make, open_devices(bundle.options));
}

std::unique_ptr<ModelFamily> open_family(const ModelSpec& spec, const LoadOptions& options) {
  if (spec.path.starts_with("uniform:") || spec.path.starts_with("bigram:")) {
    throw Error(ErrorKind::kConfig, "--weights needs a bundle, not " + spec.path);
  }
  return std::make_unique<TorchFamily>(spec, options);
}

Json describe_model(const ModelSpec& spec, const LoadOptions& options) {
  Json json = {{"path", spec.path}};
  try {
    if (!spec.path.starts_with("uniform:") && !spec.path.starts_with("bigram:")) {
      const Archive archive = read_archive(spec.path);
      json["content_hash"] = archive.content_hash;
      json["metadata"] = find_metadata(archive).json;
    }
    const auto model = open_model(spec, options);
    model->load();
    const ModelInfo& info = model->info();
    json["name"] = info.name;
    json["fingerprint"] = info.fingerprint;
    json["level"] = info.metadata.value("level", Json(nullptr));
    json["context_length"] = info.context_length;
    json["vocab_size"] = info.vocab_size;
    json["tokenizer"] = {{"kind", model->tokenizer().kind()},
                         {"fingerprint", model->tokenizer().fingerprint()},
                         {"vocab_size", model->tokenizer().vocab_size()}};
    json["rounding"] = info.metadata.value("rounding", Json(nullptr));
    json["warnings"] = info.warnings;
    json["problem"] = nullptr;
  } catch (const Error& e) {
    json["problem"] = e.what();
    json["hint"] = e.hint();
    json["exit_code"] = static_cast<int>(e.kind());
  }
  return json;
}

namespace {

// The memory of tensors: malloc's, aligned by hand, with the block's address before it. libtorch asks posix_memalign, which up to
// glibc 2.37 cannot hand out a block again that it has handed out before (it looks for one with room to align in), so that the
// heap of a scoring run grew by more than twice the text, without end.
class TensorMemory final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t n) override {
    constexpr std::size_t kAlignment = 64;  // as libtorch's own
    if (n == 0) return {nullptr, nullptr, &release, at::kCPU};
    void* const block = n <= SIZE_MAX - 2 * kAlignment ? std::malloc(n + 2 * kAlignment) : nullptr;
    TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, "cannot allocate ", n, " bytes");
    const std::uintptr_t data = (reinterpret_cast<std::uintptr_t>(block) + 2 * kAlignment - 1) & -kAlignment;
    reinterpret_cast<void**>(data)[-1] = block;
    return {reinterpret_cast<void*>(data), reinterpret_cast<void*>(data), &release, at::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }  // oneDNN's scratch memory has no DataPtr
  void copy_data(void* to, const void* from, std::size_t n) const override { default_copy_data(to, from, n); }

 private:
  static void release(void* data) {
    if (data != nullptr) std::free(static_cast<void**>(data)[-1]);
  }
};

}  // namespace

void prepare_torch() {
  static TensorMemory* const memory = new TensorMemory;  // outlives every tensor
  c10::SetCPUAllocator(memory);
  at::set_num_threads(1);
  torch::jit::setGraphExecutorOptimize(false);
  torch::jit::getProfilingMode() = false;
  // A forward pass allocates the same megabytes over and over: kept, not returned to the kernel and faulted in again.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

void prepare_torch_thread() { at::init_num_threads(); }

namespace {

Json describe_cuda() {
  if (const auto why = why_no_cuda_device()) return "none: " + *why;
  Json devices = Json::object();
  for (const auto& device : open_cuda_devices("cuda:all")) devices[device->name()] = device->description();
  return devices;
}

}  // namespace

Json describe_torch() {
  return {{"libtorch", TORCH_VERSION},
          {"cpu_capability", at::get_cpu_capability()},
          {"mkl", at::globalContext().hasMKL()},
          {"onednn", at::globalContext().hasMKLDNN()},
          {"cuda_kernels", kernels::has_cuda_kernels()},
          {"cuda_devices", describe_cuda()}};
}

}  // namespace lmbits
