#include "src/nightly/nightly_config.h"

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/suggest.h"
#include "src/corpus/media.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

class Reader {
 public:
  Reader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) throw Error(ErrorKind::kConfig, where_ + " is not an object", "see lmbits nightly --help");
  }

  // Takes over the value of `key`, where it is there.
  template <typename T>
  void read(const char* key, T& value) {
    known_.emplace_back(key);
    const auto found = object_.find(key);
    if (found == object_.end()) return;
    try {
      value = found->template get<T>();
    } catch (const Json::exception&) {
      throw Error(ErrorKind::kConfig, where_ + ": " + key + " is " + found->dump() + ", which is of the wrong kind",
                  "see lmbits nightly --help");
    }
  }

  void refuse_others() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        throw Error(ErrorKind::kConfig, where_ + " has the unknown key \"" + key + "\"", suggestion(key, known_));
      }
    }
  }

  [[noreturn]] void refuse(const std::string& what, const std::string& hint) const {
    throw Error(ErrorKind::kConfig, where_ + ": " + what, hint);
  }

 private:
  const Json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

CorpusSpec corpus_of(const Json& json, const std::string& where, const fs::path& folder) {
  CorpusSpec spec;
  Reader reader(json, where);
  reader.read("name", spec.name);
  reader.read("path", spec.path);
  reader.read("field", spec.field);
  reader.read("split", spec.split);
  reader.read("patch", spec.patch);
  reader.refuse_others();
  try {
    parse_patch(spec.patch);
  } catch (const Error& e) {
    reader.refuse(e.what(), e.hint());
  }
  if (spec.path.empty()) reader.refuse("path is missing", "{\"name\": \"prose\", \"path\": \"prose.txt\"}");
  spec.path = (folder / spec.path).lexically_normal().string();
  if (spec.name.empty()) spec.name = corpus_name(spec);
  return spec;
}

}  // namespace

NightlyConfig read_nightly_config(const fs::path& file) {
  const Json json = Json::parse(read_file(file), nullptr, false, true);
  const std::string where = file.string();
  if (json.is_discarded()) throw Error(ErrorKind::kConfig, where + " is not JSON", "see lmbits nightly --help");
  const fs::path folder = fs::absolute(file).parent_path();
  NightlyConfig config;
  std::vector<Json> corpora;
  std::string output = "nightly";
  Reader reader(json, where);
  reader.read("watch", config.watch);
  reader.read("ready", config.ready);
  reader.read("settle_s", config.settle_s);
  reader.read("name", config.name);
  reader.read("corpora", corpora);
  reader.read("tasks", config.tasks);
  reader.read("convention", config.convention.name);
  reader.read("baseline", config.baseline);
  reader.read("alpha", config.alpha);
  reader.read("max_regression", config.max_regression);
  reader.read("dtype", config.dtype);
  reader.read("device", config.device);
  reader.read("threads", config.threads);
  reader.read("output", output);
  Json slurm = Json::object();
  reader.read("slurm", slurm);
  reader.refuse_others();
  if (config.watch.empty()) reader.refuse("watch is missing", "\"watch\": [\"checkpoints/*/model.pt\"]");
  if (corpora.empty())
    reader.refuse("corpora is missing", "\"corpora\": [{\"name\": \"prose\", \"path\": \"prose.txt\"}]");
  if (!(config.alpha > 0.0 && config.alpha < 0.5))
    reader.refuse("alpha is " + Json(config.alpha).dump(), "it lies between 0 and 0.5");
  if (!(config.max_regression >= 0.0)) reader.refuse("max_regression is negative", "0.002 is 0.2 %");
  if (config.name != "bundle" && config.name != "stem" && config.name != "folder") {
    reader.refuse("name is \"" + config.name + "\"", suggestion(config.name, {"bundle", "stem", "folder"}));
  }
  Reader slurm_reader(slurm, where + ", slurm");
  slurm_reader.read("workers", config.slurm.workers);
  slurm_reader.read("at_once", config.slurm.at_once);
  slurm_reader.read("options", config.slurm.options);
  slurm_reader.refuse_others();
  if (config.slurm.workers < 1) slurm_reader.refuse("workers is less than 1", "how many share a checkpoint");
  for (const std::string& option : config.slurm.options) {
    if (option.starts_with("-") && option.find('\n') == std::string::npos) continue;
    slurm_reader.refuse("\"" + option + "\" is no option of sbatch", "\"--partition=gpu\"");
  }
  for (std::string& pattern : config.watch) pattern = (folder / pattern).lexically_normal().string();
  for (std::string& task : config.tasks) task = (folder / task).lexically_normal().string();
  for (std::size_t k = 0; k < corpora.size(); ++k) {
    config.corpora.push_back(corpus_of(corpora[k], where + ", corpora[" + std::to_string(k) + "]", folder));
  }
  config.output = (folder / output).lexically_normal();
  return config;
}

}  // namespace lmbits
