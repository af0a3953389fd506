#include "src/model/package.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <torch/csrc/inductor/aoti_runner/model_container_runner_cpu.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/weights/safetensors.h"

namespace lmbits {
namespace {

constexpr const char* kFormat = "lmbits-package-1";
constexpr const char* kFolder = "data/aotinductor/";

#if defined(__x86_64__)
constexpr const char* kMachine = "x86_64";

bool has_feature(std::string_view name) {
  if (name == "avx2") return __builtin_cpu_supports("avx2");
  if (name == "fma") return __builtin_cpu_supports("fma");
  if (name == "bmi") return __builtin_cpu_supports("bmi");
  if (name == "bmi2") return __builtin_cpu_supports("bmi2");
  if (name == "f16c") return __builtin_cpu_supports("f16c");
  if (name == "lzcnt") return __builtin_cpu_supports("lzcnt");
  if (name == "movbe") return __builtin_cpu_supports("movbe");
  if (name == "avx512f") return __builtin_cpu_supports("avx512f");
  if (name == "avx512bw") return __builtin_cpu_supports("avx512bw");
  if (name == "avx512cd") return __builtin_cpu_supports("avx512cd");
  if (name == "avx512dq") return __builtin_cpu_supports("avx512dq");
  if (name == "avx512vl") return __builtin_cpu_supports("avx512vl");
  return false;  // what this program cannot ask for, it does not assume
}
#else
constexpr const char* kMachine = "another";
bool has_feature(std::string_view) { return false; }
#endif

struct Constant {
  c10::ScalarType type = at::kFloat;
  TensorShape shape;
  bool stored = false;  // in the package, beside the code: no weight of a checkpoint
};

struct EntryFacts {
  std::string code;  // the record
  std::map<std::string, Constant> constants;
};

c10::ScalarType scalar_type_of(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "int64") return at::kLong;
  if (name == "int32") return at::kInt;
  if (name == "bool") return at::kBool;
  throw std::runtime_error("no dtype " + name);
}

// Nothing where that is no std::size_t.
std::optional<std::size_t> bytes_of(const Constant& constant) {
  std::size_t n = c10::elementSize(constant.type);
  for (const std::int64_t length : constant.shape) {
    if (__builtin_mul_overflow(n, static_cast<std::size_t>(length), &n)) return std::nullopt;
  }
  return n;
}

EntryFacts read_entry(const Json& json, const std::string& name) {
  EntryFacts entry;
  entry.code = json.at("code").get<std::string>();
  if (!entry.code.starts_with(kFolder + name + "/") || !entry.code.ends_with(".so"))
    throw std::runtime_error("`code` is " + entry.code);
  for (const auto& [constant, of] : json.at("constants").items()) {
    Constant& c = entry.constants[constant];
    c.type = scalar_type_of(of.at("dtype").get<std::string>());
    c.shape = of.at("shape").get<TensorShape>();
    c.stored = of.at("stored").get<bool>();
    if (std::any_of(c.shape.begin(), c.shape.end(), [](std::int64_t n) { return n < 0 || n > INT32_MAX; }))
      throw std::runtime_error("the shape of " + constant + " is " + shape_text(c.shape));
    if (!c.stored && c.type != at::kFloat) throw std::runtime_error(constant + " is a weight and not float32");
  }
  return entry;
}

// Machine code as a file that nobody else can change. It stays open until the process ends, as the code may stay mapped:
// dlopen takes a path that it knows for the library that it knows.
std::string map_code(std::string_view code, const std::string& where) {
  const auto failed = [&](const char* what) {
    throw Error(ErrorKind::kOutOfMemory, where + ": " + what + ": " + std::strerror(errno));
  };
  const int fd = ::memfd_create("lmbits-package", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) failed("memfd_create");
  for (std::size_t at = 0; at < code.size();) {
    const ssize_t n = ::write(fd, code.data() + at, code.size() - at);
    if (n <= 0) {
      ::close(fd);
      failed("cannot copy its code");
    }
    at += static_cast<std::size_t>(n);
  }
  ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
  return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace

struct Package::Facts {
  std::string torch, machine;
  std::vector<std::string> cpu;
  std::int64_t n_ids = 0, most_sequences = 0, most_positions = 0, most_rows = 0;
  std::string head_weight, head_bias;
  EntryFacts hidden, head;
  std::map<std::string, TensorShape> parameters;  // of both

  static Facts read(const Archive& archive) {
    Facts facts;
    try {
      const Json json = Json::parse(archive.package.at("extra/package.json"));
      const auto format = json.at("format").get<std::string>();
      if (format != kFormat) throw std::runtime_error("`format` is " + format + ", this program reads " + kFormat);
      facts.torch = json.at("torch").get<std::string>();
      facts.machine = json.at("machine").get<std::string>();
      facts.cpu = json.at("cpu").get<std::vector<std::string>>();
      facts.n_ids = json.at("ids").get<std::int64_t>();
      facts.most_sequences = json.at("most").at("sequences").get<std::int64_t>();
      facts.most_positions = json.at("most").at("positions").get<std::int64_t>();
      facts.most_rows = json.at("most").at("rows").get<std::int64_t>();
      facts.head_weight = json.at("head_weight").get<std::string>();
      if (!json.at("head_bias").is_null()) facts.head_bias = json["head_bias"].get<std::string>();
      facts.hidden = read_entry(json.at("hidden"), "hidden");
      facts.head = read_entry(json.at("head"), "head");
      for (const EntryFacts* entry : {&facts.hidden, &facts.head}) {
        for (const auto& [name, constant] : entry->constants) {
          if (constant.stored) continue;
          // The code trusts its shapes: it would read beyond a smaller one.
          const TensorShape& first = facts.parameters.emplace(name, constant.shape).first->second;
          if (first != constant.shape)
            throw std::runtime_error(name + " is " + shape_text(first) + " in `hidden` and " +
                                     shape_text(constant.shape) + " in `head`");
        }
      }
      const auto of_head = facts.parameters.find(facts.head_weight);
      if (of_head == facts.parameters.end() || of_head->second.size() != 2)
        throw std::runtime_error("`head_weight` is no matrix among its weights: " + facts.head_weight);
      if (!facts.head_bias.empty() && !facts.parameters.contains(facts.head_bias))
        throw std::runtime_error("`head_bias` is none of its weights: " + facts.head_bias);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& e) {
      throw Error(ErrorKind::kModel, archive.path + ": package.json is not what docs/formats.md describes: " + e.what(),
                  "export the model again with scripts/export_hf");
    }
    return facts;
  }

  void check_machine(const std::string& path) const {
    const std::string hint = "export the model again on a machine like this one, or use its TorchScript bundle (.pt)";
    if (torch != TORCH_VERSION) {
      throw Error(ErrorKind::kUnsupported,
                  path + " was compiled for libtorch " + torch + ", this program has " + TORCH_VERSION, hint);
    }
    if (machine != kMachine) {
      throw Error(ErrorKind::kUnsupported, path + " was compiled for " + machine + ", this machine is " + kMachine,
                  hint);
    }
    for (const std::string& feature : cpu) {
      if (has_feature(feature)) continue;
      throw Error(ErrorKind::kUnsupported,
                  path + " was compiled for a processor with " + feature + ", which this one is not known to have",
                  hint);
    }
  }
};

// One compiled function, and what is stored for it.
struct Package::Entry {
  Entry(const Archive& archive, const EntryFacts& facts) : constants(facts.constants), code(facts.code) {
    if (!archive.package.contains(code)) throw Error(ErrorKind::kModel, archive.path + " holds no " + code);
    for (const auto& [name, constant] : constants) {
      if (constant.stored) stored[name] = read_constant(archive, name, constant);
    }
  }

  void load(const Archive& archive) {
    guarded(archive.path, "cannot load its code", [&] {
      const std::size_t n_at_once = std::max(1U, std::thread::hardware_concurrency());
      runner = std::make_unique<torch::inductor::AOTIModelContainerRunnerCpu>(
          map_code(archive.package.at(code), archive.path), n_at_once);
      by_internal_name = runner->getConstantNamesToOriginalFQNs();
      for (const auto& [internal, name] : by_internal_name) {
        if (!constants.contains(name))
          throw Error(ErrorKind::kModel,
                      archive.path + ": its code wants " + name + ", which package.json does not state");
      }
      return 0;
    });
  }

  static at::Tensor read_constant(const Archive& archive, const std::string& name, const Constant& constant) {
    const auto found = archive.package.find("extra/constants/" + name);
    const std::string_view bytes = found == archive.package.end() ? std::string_view() : found->second;
    const std::optional<std::size_t> needed = bytes_of(constant);
    if (bytes.size() != needed) {
      throw Error(ErrorKind::kModel, archive.path + ": constant " + name + " has " + std::to_string(bytes.size()) +
                                         " bytes, its shape " + shape_text(constant.shape) + " takes " +
                                         (needed ? std::to_string(*needed) : "more than there is a number for"));
    }
    at::Tensor tensor = at::empty(constant.shape, constant.type);
    if (!bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
    return tensor;
  }

  void set_weights(const std::map<std::string, at::Tensor>& weights) {
    std::unordered_map<std::string, at::Tensor> all;
    for (const auto& [internal, name] : by_internal_name) {
      const at::Tensor& tensor = constants.at(name).stored ? stored.at(name) : weights.at(name);
      // Not the tensor itself: the runner never lets go of what it was given, and so of its memory.
      all.emplace(internal,
                  at::from_blob(const_cast<void*>(tensor.const_data_ptr()), tensor.sizes(), tensor.options()));
    }
    runner->update_constant_buffer(all, /*use_inactive=*/false, /*validate_full_updates=*/true, /*user_managed=*/true);
  }

  at::Tensor run(const at::Tensor& input) const {
    const std::vector<at::Tensor> outputs = runner->run({input.contiguous()});
    if (outputs.size() != 1)
      throw std::runtime_error("its code returned " + std::to_string(outputs.size()) + " tensors");
    return outputs[0];
  }

  std::map<std::string, Constant> constants;
  std::string code;  // the record
  std::map<std::string, at::Tensor> stored;
  std::unique_ptr<torch::inductor::AOTIModelContainerRunnerCpu> runner;  // run() is safe from several threads
  std::unordered_map<std::string, std::string> by_internal_name;
};

Package::Package(const Archive& archive, const BundleMetadata& metadata) : archive_(archive) {
  if (!metadata.content_hash) {
    throw Error(ErrorKind::kModel, archive.path + ": lmbits.json states no content hash, without which no code is run",
                "export the model again with scripts/export_hf");
  }
  facts_ = std::make_unique<Facts>(Facts::read(archive));
  facts_->check_machine(archive.path);
  if (facts_->most_positions < metadata.context_length || facts_->n_ids < metadata.padded_vocab_size) {
    throw Error(ErrorKind::kModel, archive.path + " was compiled for " + std::to_string(facts_->most_positions) +
                                       " positions of " + std::to_string(facts_->n_ids) + " ids, lmbits.json states " +
                                       std::to_string(metadata.context_length) + " of " +
                                       std::to_string(metadata.padded_vocab_size));
  }
  hidden_ = std::make_unique<Entry>(archive, facts_->hidden);
  head_ = std::make_unique<Entry>(archive, facts_->head);
}

void Package::load() {
  hidden_->load(archive_);
  head_->load(archive_);
  archive_.package.clear();
}

Package::~Package() = default;

const std::map<std::string, TensorShape>& Package::parameters() const { return facts_->parameters; }
const std::string& Package::head_weight() const { return facts_->head_weight; }
const std::string& Package::head_bias() const { return facts_->head_bias; }
const at::Tensor& Package::weight(const std::string& parameter) const { return weights_.at(parameter); }

void Package::set_weights(const WeightSource& weights) {
  weights_.clear();  // before others are made: there is memory for one set
  std::map<std::string, at::Tensor> next;
  for (const auto& [name, shape] : facts_->parameters) {
    const at::Tensor tensor = weights(name);
    // The code takes any tensor for one of its own shape.
    LMBITS_CHECK(tensor.scalar_type() == at::kFloat && tensor.is_contiguous() && tensor.sizes() == shape);
    next[name] = tensor;
  }
  if (!head_->runner) load();
  guarded(archive_.path, "cannot take the weights", [&] {
    hidden_->set_weights(next);
    head_->set_weights(next);
    return 0;
  });
  weights_ = std::move(next);
}

at::Tensor Package::hidden(const at::Tensor& ids) const {
  const bool fits = ids.dim() == 2 && ids.scalar_type() == at::kLong && ids.numel() > 0 &&
                    ids.size(0) <= facts_->most_sequences && ids.size(1) <= facts_->most_positions;
  if (!fits) {
    throw Error(ErrorKind::kModel, archive_.path + " takes int64 ids of up to [" +
                                       std::to_string(facts_->most_sequences) + ", " +
                                       std::to_string(facts_->most_positions) + "], not " + c10::str(ids.sizes()));
  }
  const auto [least, most] = at::aminmax(ids);  // the code ends the process on an id that is none
  const auto low = least.item<std::int64_t>(), high = most.item<std::int64_t>();
  if (low < 0 || high >= facts_->n_ids) {
    throw Error(ErrorKind::kModel, archive_.path + ": id " + std::to_string(low < 0 ? low : high) + " is outside [0, " +
                                       std::to_string(facts_->n_ids) + ")");
  }
  return guarded(archive_.path, "hidden", [&] { return hidden_->run(ids); });
}

at::Tensor Package::head(const at::Tensor& h) const {
  const TensorShape& weight = facts_->parameters.at(facts_->head_weight);
  if (h.dim() != 2 || h.scalar_type() != at::kFloat || h.size(1) != weight[1] || h.size(0) < 1 ||
      h.size(0) > facts_->most_rows) {
    throw Error(ErrorKind::kModel, archive_.path + ": head takes float32 [R, " + std::to_string(weight[1]) + "], not " +
                                       c10::str(h.sizes()));
  }
  return guarded(archive_.path, "head", [&] { return head_->run(h); });
}

PackageModule::PackageModule(const std::string& path, std::shared_ptr<Package> package, const WeightSource& weights)
    : ModelGraph(path, at::kCPU), package_(std::move(package)) {
  package_->set_weights(weights);
  level_ = 2;
  head_weight_ = package_->weight(package_->head_weight());
  if (!package_->head_bias().empty()) head_bias_ = package_->weight(package_->head_bias());
}

at::Tensor PackageModule::hidden(const at::Tensor& ids) const { return package_->hidden(ids); }
at::Tensor PackageModule::head(const at::Tensor& h) const { return package_->head(h); }

at::Tensor PackageModule::forward(const at::Tensor& ids) const {
  return head(positions(ids).flatten(0, 1)).view({ids.size(0), ids.size(1), -1});
}

}  // namespace lmbits
