#include "tests/support/toy_bundle.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/jit/api/module.h>

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

std::string write_toy_bundle(const std::filesystem::path& path, const ToyBundle& toy) {
  torch::jit::Module module("Toy");
  const auto weights = [&](double step) {  // fixed, spread over about [-1, 1]
    return (at::arange(toy.vocab * toy.dim, at::kDouble) * step).sin().reshape({toy.vocab, toy.dim}).to(at::kFloat);
  };
  module.register_parameter("embedding", weights(0.7), false);
  module.register_parameter("weight", weights(1.3), false);
  module.register_buffer("calls", at::zeros({1}));
  if (toy.level >= 1) {
    module.define("def hidden(self, ids: Tensor) -> Tensor:\n  e = torch.embedding(self.embedding, ids)\n" + toy.lines +
                  "  return " + toy.mix + "\n");
    module.define("def head(self, h: Tensor) -> Tensor:\n  return " + toy.head + "\n");
  }
  if (!toy.step.empty())
    module.define("def step(self, ids: Tensor, state: List[Tensor]) -> Tuple[Tensor, List[Tensor]]:\n" + toy.step);
  if (toy.level >= 2) module.define("def head_weight(self) -> Tensor:\n  return self.weight\n");
  const std::string forward = toy.level >= 1 ? toy.forward : "torch.matmul(" + toy.mix + ", self.weight.t())";
  module.define("def forward(self, ids: Tensor) -> Tensor:\n  e = torch.embedding(self.embedding, ids)\n" + toy.lines +
                "  return " + forward + "\n");
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

}  // namespace lmbits::testing
