#include "tests/support/toy_bundle.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/resolver.h>
#include <torch/version.h>

#include <fstream>

#include "src/core/hash.h"
#include "src/model/archive.h"

namespace lmbits::testing {

Json toy_metadata(const ToyBundle& toy) {
  Json metadata = {{"format", "lmbits-bundle-1"},
                   {"name", "toy"},
                   {"context_length", toy.context},
                   {"vocab_size", toy.vocab},
                   {"padded_vocab_size", toy.vocab},
                   {"bos_id", 256},
                   {"eos_id", nullptr},
                   {"tokenizer", {{"kind", "bytes"}, {"file", nullptr}}},
                   {"parameters", {{"total", 2 * toy.vocab * toy.dim}}},
                   {"dtype", "float32"}};
  metadata.update(toy.metadata_changes);
  return metadata;
}

std::string toy_tokenizer_json() {
  Json vocab = Json::object();
  int n_others = 0;
  for (int byte = 0; byte < 256; ++byte) {
    // The characters that byte-level tokenizers write bytes as.
    const bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    const int code = plain ? byte : 256 + n_others++;
    std::string utf8;
    if (code < 0x80) {
      utf8 = std::string(1, static_cast<char>(code));
    } else {
      utf8 = {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    }
    vocab[utf8] = byte;
  }
  vocab["et"] = 256;
  const Json tokenizer = {{"added_tokens", Json::array()},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
                          {"decoder", {{"type", "ByteLevel"}}},
                          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array({"e t"})}}}};
  return tokenizer.dump();
}

namespace {

// Knows torch's names, and one function.
struct HelperResolver : torch::jit::NativeResolver {
  std::shared_ptr<torch::jit::SugaredValue> resolveValue(const std::string& name, torch::jit::GraphFunction& caller,
                                                         const torch::jit::SourceRange& place) override {
    if (name == "helper" && helper != nullptr) return std::make_shared<torch::jit::FunctionValue>(helper);
    return NativeResolver::resolveValue(name, caller, place);
  }
  torch::jit::Function* helper = nullptr;
};

}  // namespace

std::string write_toy_bundle(const std::filesystem::path& path, const ToyBundle& toy) {
  torch::jit::Module module("Toy");
  const auto weights = [&](double step) {  // fixed, spread over about [-1, 1]
    return (at::arange(toy.vocab * toy.dim, at::kDouble) * step).sin().reshape({toy.vocab, toy.dim}).to(at::kFloat);
  };
  module.register_parameter("embedding", weights(0.7), false);
  module.register_parameter("weight", weights(1.3), false);
  module.register_buffer("calls", at::zeros({1}));
  const auto names = std::make_shared<HelperResolver>();
  if (!toy.function.empty()) {
    const c10::QualifiedName prefix("__torch__");
    names->helper = module._ivalue()->compilation_unit()->define(prefix, toy.function, names, nullptr).at(0);
  }
  if (toy.level >= 1) {
    module.define("def hidden(self, ids: Tensor) -> Tensor:\n  e = torch.embedding(self.embedding, ids)\n" + toy.lines +
                      "  return " + toy.mix + "\n",
                  names);
    module.define("def head(self, h: Tensor) -> Tensor:\n  return " + toy.head + "\n");
  }
  if (!toy.step.empty())
    module.define("def step(self, ids: Tensor, state: List[Tensor]) -> Tuple[Tensor, List[Tensor]]:\n" + toy.step);
  if (toy.level >= 2) module.define("def head_weight(self) -> Tensor:\n  return self.weight\n");
  const std::string forward = toy.level >= 1 ? toy.forward : "torch.matmul(" + toy.mix + ", self.weight.t())";
  module.define("def forward(self, ids: Tensor) -> Tensor:\n  e = torch.embedding(self.embedding, ids)\n" + toy.lines +
                    "  return " + forward + "\n",
                names);
  if (!toy.with_metadata) {
    module.save(path.string());
    return path.string();
  }
  torch::jit::ExtraFilesMap extra{{"lmbits.json", toy_metadata(toy).dump()}};
  module.save(path.string(), extra);
  if (toy.with_hash) {
    Json metadata = toy_metadata(toy);
    metadata["content_hash"] = read_archive(path.string()).content_hash;
    extra["lmbits.json"] = metadata.dump();
    module.save(path.string(), extra);
  }
  return path.string();
}

namespace {

// Of float32 tensors.
std::string safetensors(const std::map<std::string, std::pair<std::vector<std::int64_t>, std::string>>& tensors) {
  Json header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {
        {"dtype", "F32"}, {"shape", tensor.first}, {"data_offsets", {data.size(), data.size() + tensor.second.size()}}};
    data += tensor.second;
  }
  const std::string text = header.dump();
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(text.size() >> (8 * i));
  return file + text + data;
}

void write_records(const std::string& path, const std::map<std::string, std::string>& records) {
  caffe2::serialize::PyTorchStreamWriter writer(path);
  for (const auto& [name, bytes] : records) writer.writeRecord(name, bytes.data(), bytes.size());
  writer.writeEndOfFile();
}

}  // namespace

void write_toy_checkpoint(const std::filesystem::path& path, double step) {
  const ToyBundle toy;
  const auto weights = [&](double factor) {
    const at::Tensor w = (at::arange(toy.vocab * toy.dim, at::kDouble) * factor).sin().to(at::kFloat);
    return std::pair(std::vector{toy.vocab, toy.dim},
                     std::string(static_cast<const char*>(w.const_data_ptr()), w.nbytes()));
  };
  std::ofstream(path, std::ios::binary) << safetensors({{"embedding", weights(step)}, {"weight", weights(step + 1)}});
}

std::string write_toy_package(const std::filesystem::path& path, const ToyPackage& toy) {
  const std::string entry = "data/aotinductor/";
  const Json weight = {{"w", {{"dtype", "float32"}, {"shape", {257, 4}}, {"stored", false}}}};
  Json facts = {{"format", "lmbits-package-1"},
                {"torch", TORCH_VERSION},
                {"machine", "x86_64"},
                {"cpu", Json::array()},
                {"ids", 257},
                {"most", {{"sequences", 64}, {"positions", 64}, {"rows", 4096}}},
                {"head_weight", "w"},
                {"head_bias", nullptr},
                {"hidden", {{"code", entry + "hidden/a.so"}, {"constants", weight}}},
                {"head", {{"code", entry + "head/b.so"}, {"constants", weight}}}};
  facts.merge_patch(toy.changes);
  const std::filesystem::path file = std::filesystem::path(path).replace_extension(".safetensors");
  const std::string weights =
      safetensors({{"w", {{toy.rows, 4}, std::string(static_cast<std::size_t>(toy.rows) * 16, '\x3e')}}});
  std::ofstream(file, std::ios::binary) << weights;
  Json metadata = toy_metadata({});
  metadata["weights"] = {{"file", file.filename().string()},
                         {"hash", Fingerprint().add(std::to_string(weights.size()) + " ").add(weights).hex()}};
  std::map<std::string, std::string> records = {{entry + "hidden/a.so", "no code"},
                                                {entry + "head/b.so", "nor here"},
                                                {"extra/package.json", facts.dump()},
                                                {"extra/lmbits.json", metadata.dump()}};
  write_records(path.string(), records);
  if (toy.with_hash) metadata["content_hash"] = read_archive(path.string()).content_hash;
  metadata.merge_patch(toy.metadata_changes);
  records["extra/lmbits.json"] = metadata.dump();
  write_records(path.string(), records);
  return path.string();
}

}  // namespace lmbits::testing
