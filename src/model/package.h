// An AOTInductor package (.pt2): machine code that was compiled of hidden(ids) and head(h) ahead of time, as a ModelGraph. Its
// weights lie outside it, in safetensors files, and are exchanged without loading the code again. Included only where torch is
// at home: src/model/*.cc.
//
// libtorch's own loader takes a file as it is: damaged weights pass, a cut library or one for another processor ends the
// process, "../" in a name writes elsewhere. So it is not used. What extra/package.json states (docs/formats.md) is checked
// before anything is mapped, the code comes from a sealed copy in memory whose hash was verified, and ids and shapes are
// checked before each call. None of this makes a package from a stranger safe to run: it is a program.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "src/model/archive.h"
#include "src/model/bundle.h"
#include "src/model/model_graph.h"

namespace lmbits {

using TensorShape = std::vector<std::int64_t>;

class Package {
 public:
  // Reads what it states; its code waits for the first weights. Throws Error(kModel) for a package that states no content
  // hash or is not what docs/formats.md describes, Error(kUnsupported) for one that was compiled for another libtorch, or a
  // processor with more than this one has.
  Package(const Archive& archive, const BundleMetadata& metadata);
  ~Package();
  Package(const Package&) = delete;
  Package& operator=(const Package&) = delete;

  const std::map<std::string, TensorShape>& parameters() const;  // what a WeightSource is asked for

  // Float32, of the stated shapes, alive as long as the next call: they are read where they lie.
  void set_weights(const WeightSource& weights);

  const at::Tensor& weight(const std::string& parameter) const;
  const std::string& head_weight() const;  // the parameter that is; its bias, or ""
  const std::string& head_bias() const;

  // From any thread; as many at once as the machine has processors, others wait.
  at::Tensor hidden(const at::Tensor& ids) const;  // int64 [B,T] -> [B,T,D]
  at::Tensor head(const at::Tensor& h) const;      // [R,D] -> [R,V]

 private:
  struct Facts;
  struct Entry;
  void load();

  Archive archive_;  // without records once they are loaded
  std::unique_ptr<Facts> facts_;
  std::unique_ptr<Entry> hidden_, head_;
  std::map<std::string, at::Tensor> weights_;
};

// The package with one set of weights; until another is made of it.
class PackageModule final : public ModelGraph {
 public:
  // `path` is where the weights come from, in errors.
  PackageModule(const std::string& path, std::shared_ptr<Package> package, const WeightSource& weights);

  at::Tensor forward(const at::Tensor& ids) const override;
  at::Tensor hidden(const at::Tensor& ids) const override;
  at::Tensor head(const at::Tensor& h) const override;

 private:
  std::shared_ptr<Package> package_;
};

}  // namespace lmbits
