#include "src/model/load.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/native/DispatchStub.h>
#include <c10/core/InferenceMode.h>
#include <malloc.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/version.h>

#include <charconv>
#include <filesystem>
#include <mutex>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/model/archive.h"
#include "src/model/bundle.h"
#include "src/model/head_nll.h"
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

// Of the norm of the hidden states: rounding in another order gives 1e-6, a misread graph orders of magnitude more.
constexpr double kFusedTolerance = 1e-4;

WeightDtype parse_dtype(const std::string& text) {
  if (text == "auto") return WeightDtype::kAuto;
  if (text == "float32" || text == "fp32") return WeightDtype::kFloat32;
  if (text == "bfloat16" || text == "bf16") return WeightDtype::kBFloat16;
  if (text == "float16" || text == "fp16") return WeightDtype::kFloat16;
  throw Error(ErrorKind::kConfig, "--dtype " + text + " is not known", "use auto, float32, bfloat16 or float16");
}

const char* dtype_name(WeightDtype dtype) {
  return dtype == WeightDtype::kBFloat16 ? "bfloat16" : dtype == WeightDtype::kFloat16 ? "float16" : "float32";
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

class TorchModel final : public LanguageModel {
 public:
  TorchModel(const ModelSpec& spec, const LoadOptions& options)
      : archive_(read_archive(spec.path)),
        metadata_(find_metadata(archive_)),
        dtype_(parse_dtype(options.dtype)),
        fuse_(options.fuse) {
    verify_hash(archive_, metadata_);
    tokenizer_ = open_tokenizer(metadata_, spec.path);
    if (tokenizer_->vocab_size() > metadata_.padded_vocab_size) {
      throw Error(ErrorKind::kModel, spec.path + ": the tokenizer has " + std::to_string(tokenizer_->vocab_size()) +
                                         " ids, the model a vocabulary of " + std::to_string(metadata_.vocab_size));
    }
    head_ = {
        .vocab_size = metadata_.vocab_size, .logit_scale = metadata_.logit_scale, .softcap = metadata_.logit_softcap};
    info_.name = !spec.name.empty()        ? spec.name
                 : !metadata_.name.empty() ? metadata_.name
                                           : fs::path(spec.path).stem().string();
    info_.fingerprint = Fingerprint().add(archive_.content_hash).add(metadata_.json.dump()).hex();
    info_.context_length = metadata_.context_length;
    info_.vocab_size = metadata_.vocab_size;
    info_.bos_id = metadata_.bos_id;
    info_.eos_id = metadata_.eos_id;
    info_.dtype = dtype_name(dtype_);
    info_.n_parameters = metadata_.n_parameters;
    info_.metadata = metadata_.json;
  }

  void load() override {
    if (module_) return;
    prepare_torch();
    auto module = std::make_unique<TorchModule>(archive_.path, dtype_);
    const ProbeResult probed = probe(*module, metadata_, archive_.path);
    if (fuse_ && dtype_name(dtype_) == std::string("float32")) module = fuse_kernels(std::move(module));
    module_ = std::move(module);
    if (module_->level() == 2) weight_head_.emplace(module_->head_weight(), module_->head_bias(), head_);
    info_.metadata["level"] = module_->level();
    info_.bytes_per_position = module_->level() == 0 ? 8 * probed.n_columns : probed.hidden_size * kActivationBytes;
    if (module_->level() == 0) info_.warnings.push_back("the bundle is of level 0: every position pays for the head");
    if (!metadata_.content_hash)
      info_.warnings.push_back("the bundle states no content hash: corruption goes unnoticed");
  }

  std::unique_ptr<Predictor> predictor() const override {
    std::call_once(predictors_once_, [this] {
      predictors_.emplace(*module_, weight_head_ ? &*weight_head_ : nullptr, metadata_.vocab_size,
                          metadata_.context_length);
    });
    return predictors_->make();
  }

  void score(const Batch& batch, std::vector<double>& bits, std::vector<std::uint8_t>* most_probable) const override {
    const c10::InferenceMode inference;
    const at::Tensor ids =
        at::from_blob(const_cast<std::int64_t*>(batch.ids.data()), {batch.n_sequences, batch.n_positions}, at::kLong);
    const at::Tensor rows = at::from_blob(const_cast<std::int64_t*>(batch.rows.data()),
                                          {static_cast<std::int64_t>(batch.rows.size())}, at::kLong);
    const at::Tensor chosen = module_->rows(ids, rows);
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

 private:
  // The module with our kernels in it, if it still computes what it did.
  std::unique_ptr<TorchModule> fuse_kernels(std::unique_ptr<TorchModule> module) {
    const c10::InferenceMode inference;
    const std::int64_t length = std::min<std::int64_t>(96, metadata_.context_length);
    const at::Tensor ids =
        (at::arange(2 * length, at::kLong).reshape({2, length}) * 7919 + 17).remainder(metadata_.vocab_size);
    const at::Tensor rows = at::arange(0, 2 * length, 3, at::kLong);
    const at::Tensor expected = module->rows(ids, rows);
    std::string problem;
    try {
      if (module->fuse_kernels() == 0) return module;
      const double error = (module->rows(ids, rows) - expected).norm().item<double>() / expected.norm().item<double>();
      if (error < kFusedTolerance) return module;
      problem = "they change it by " + std::to_string(error) + " of its norm";
    } catch (const Error& e) {
      problem = e.what();
    }
    info_.warnings.push_back("libtorch's operators are used: our kernels do not compute what this graph does (" +
                             problem + ")");
    return std::make_unique<TorchModule>(archive_.path, dtype_);
  }

  Archive archive_;
  BundleMetadata metadata_;
  WeightDtype dtype_;
  bool fuse_;
  std::unique_ptr<TorchModule> module_;
  HeadOptions head_{};
  std::optional<WeightHead> weight_head_;
  mutable std::optional<TorchPredictors> predictors_;
  mutable std::once_flag predictors_once_;
};

}  // namespace

ModelSpec parse_model_spec(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return {{}, text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::unique_ptr<LanguageModel> open_model(const ModelSpec& spec, const LoadOptions& options) {
  if (options.device != "cpu" && options.device != "auto") {
    throw Error(ErrorKind::kDevice, "--device " + options.device + " is not to be had in this build",
                "use --device cpu or auto");
  }
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
  return std::make_unique<TorchModel>(spec, options);
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
    json["warnings"] = info.warnings;
    json["problem"] = nullptr;
  } catch (const Error& e) {
    json["problem"] = e.what();
    json["hint"] = e.hint();
    json["exit_code"] = static_cast<int>(e.kind());
  }
  return json;
}

void prepare_torch() {
  at::set_num_threads(1);
  torch::jit::setGraphExecutorOptimize(false);
  torch::jit::getProfilingMode() = false;
  // A forward pass allocates the same megabytes over and over: kept, not returned to the kernel and faulted in again.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

void prepare_torch_thread() { at::init_num_threads(); }

Json describe_torch() {
  return {{"libtorch", TORCH_VERSION},
          {"cpu_capability", at::get_cpu_capability()},
          {"mkl", at::globalContext().hasMKL()},
          {"onednn", at::globalContext().hasMKLDNN()},
          {"cuda_build", at::globalContext().hasCUDA()}};
}

}  // namespace lmbits
