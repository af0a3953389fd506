// Writes small TorchScript bundles for tests: a sound causal model, and ways to break it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "src/core/json.h"

namespace lmbits::testing {

struct ToyBundle {
  std::int64_t vocab = 257;  // bytes and BOS
  std::int64_t dim = 16;
  std::int64_t context = 64;
  int level = 2;
  // How the hidden states [B,T,D] come from the embeddings e [B,T,D]; this one is causal and takes right padding.
  std::string mix = "torch.cumsum(e, 1) / torch.arange(1, e.size(1) + 1, device=e.device).view(1, -1, 1) + e";
  std::string lines = {};     // of TorchScript before it, each indented by two spaces
  std::string function = {};  // a free function `helper` that `mix` and `lines` may call
  std::string step = {};      // a body of step(ids, state), indented by two spaces; empty: no such method
  std::string head = "torch.matmul(h, self.weight.t())";  // of h [R,D] or [B,T,D]
  std::string forward = "self.head(self.hidden(ids))";
  Json metadata_changes = Json::object();
  bool with_hash = true;
  bool with_metadata = true;
};

/// The bundle's lmbits.json, without its hash.
Json toy_metadata(const ToyBundle& toy);

/// A tokenizer.json of bytes and one merge: id 256 is "et".
std::string toy_tokenizer_json();

/// Writes the bundle and returns its path.
std::string write_toy_bundle(const std::filesystem::path& path, const ToyBundle& toy = {});

/// A safetensors file with other weights for write_toy_bundle's archive.
void write_toy_checkpoint(const std::filesystem::path& path, double step);

/// A package (docs/formats.md) that is sound but for its code, which is none: what is refused before that is loaded.
struct ToyPackage {
  Json changes = Json::object();           // of package.json: a merge patch
  Json metadata_changes = Json::object();  // of lmbits.json, after the hash was put in
  bool with_hash = true;
  std::int64_t rows = 257;  // of the weight in NAME.safetensors
};

/// Writes NAME.pt2 and NAME.safetensors; the path of the former.
std::string write_toy_package(const std::filesystem::path& path, const ToyPackage& toy = {});

}  // namespace lmbits::testing
