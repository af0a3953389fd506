#include "src/weights/checkpoint.h"

#include <glob.h>

#include <algorithm>
#include <map>
#include <regex>

#include "src/core/error.h"
#include "src/core/hash.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".safetensors";

bool is_safetensors(const fs::path& path) { return path.extension() == kSuffix; }

// Numbers by value, all else by bytes: step2 before step10.
bool natural_less(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    const auto number = [&](const std::string& text, std::size_t& at) {
      while (at < text.size() && text[at] == '0') ++at;
      const std::size_t begin = at;
      while (at < text.size() && digit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const std::string x = number(a, i), y = number(b, j);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  if (i < a.size() || j < b.size()) return j < b.size();
  return a < b;  // equal but for leading zeros
}

std::vector<fs::path> matches(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_TILDE | GLOB_BRACE, nullptr, &found);
  std::vector<fs::path> paths;
  for (std::size_t i = 0; status == 0 && i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
  if (paths.empty()) {
    throw Error(ErrorKind::kData, "--weights " + pattern + " matches nothing",
                "put the pattern into quotes, and check it with ls");
  }
  return paths;
}

// The safetensors files a match stands for.
std::vector<fs::path> files_of(const fs::path& match) {
  if (!fs::is_directory(match)) {
    return is_safetensors(match) ? std::vector{match} : std::vector<fs::path>();  // model.safetensors.index.json
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(match)) {
    if (is_safetensors(entry.path())) files.push_back(entry.path());
  }
  return files;
}

// "model-00002-of-00003.safetensors" is shard 2 of 3 of "model.safetensors".
struct Shard {
  fs::path whole;
  int index = 0, count = 0;  // 0: no shard
};

Shard shard_of(const fs::path& file) {
  static const std::regex form("(.*)-([0-9]{5})-of-([0-9]{5})\\.safetensors");
  std::smatch parts;
  const std::string name = file.filename().string();
  if (!std::regex_match(name, parts, form)) return {file};
  return {file.parent_path() / (parts[1].str() + kSuffix), std::stoi(parts[2]), std::stoi(parts[3])};
}

CheckpointFiles gather(const std::vector<fs::path>& files) {
  CheckpointFiles checkpoint{{}, files, {}};
  std::sort(checkpoint.files.begin(), checkpoint.files.end());
  const int count = shard_of(checkpoint.files[0]).count;
  for (int i = 1; i <= count; ++i) {
    const bool there = std::any_of(files.begin(), files.end(), [&](const fs::path& file) {
      const Shard shard = shard_of(file);
      return shard.index == i && shard.count == count;
    });
    if (!there) {
      checkpoint.problem = checkpoint.files[0].string() + ": shard " + std::to_string(i) + " of " +
                           std::to_string(count) + " is missing";
    }
  }
  return checkpoint;
}

// Path parts without those, at both ends, that all paths share.
std::vector<std::string> labels_of(const std::vector<fs::path>& paths) {
  std::vector<std::vector<std::string>> parts;
  for (const fs::path& path : paths) {
    parts.emplace_back();
    const fs::path plain = fs::path(path).replace_extension();
    for (const fs::path& part : plain) parts.back().push_back(part.string());
  }
  const auto shared = [&](auto part) {  // part(parts): null where there is none to give up
    const std::string* first = part(parts[0]);
    return first != nullptr && std::all_of(parts.begin(), parts.end(),
                                           [&](const auto& p) { return part(p) != nullptr && *part(p) == *first; });
  };
  using Parts = std::vector<std::string>;
  const auto front = [](const Parts& p) { return p.size() > 1 ? &p.front() : nullptr; };
  const auto back = [](const Parts& p) { return p.size() > 1 ? &p.back() : nullptr; };
  if (paths.size() == 1) {  // run/step10/model.safetensors: the folder says more
    Parts& only = parts[0];
    const bool generic = only.size() > 1 && only.back() == "model";
    return {generic ? only[only.size() - 2] : only.back()};
  }
  while (shared(front)) {
    for (Parts& p : parts) p.erase(p.begin());
  }
  while (shared(back)) {
    for (Parts& p : parts) p.pop_back();
  }
  std::vector<std::string> labels;
  for (const Parts& p : parts) {
    std::string label;
    for (const std::string& part : p) label += (label.empty() ? "" : "-") + part;
    labels.push_back(label);
  }
  return labels;
}

}  // namespace

std::vector<CheckpointFiles> find_checkpoints(const std::vector<std::string>& patterns) {
  std::map<std::string, std::vector<fs::path>, decltype(&natural_less)> by_whole(&natural_less);
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (const fs::path& match : matches(pattern)) {
      for (const fs::path& file : files_of(match)) {
        std::vector<fs::path>& files = by_whole[shard_of(file).whole.lexically_normal().string()];
        if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
        any = true;
      }
    }
    if (!any) throw Error(ErrorKind::kData, "--weights " + pattern + " matches no *.safetensors file");
  }
  std::vector<fs::path> wholes;
  std::vector<CheckpointFiles> checkpoints;
  for (const auto& [whole, files] : by_whole) {
    wholes.emplace_back(whole);
    checkpoints.push_back(gather(files));
  }
  const std::vector<std::string> labels = labels_of(wholes);
  for (std::size_t i = 0; i < labels.size(); ++i) checkpoints[i].label = labels[i];
  return checkpoints;
}

Checkpoint::Checkpoint(const CheckpointFiles& files) {
  if (!files.problem.empty()) throw Error(ErrorKind::kModel, files.problem, "copy the checkpoint again");
  for (const fs::path& file : files.files) {
    shards_.emplace_back(file);
    for (const auto& [name, tensor] : shards_.back().tensors()) {
      for (std::size_t i = 0; i + 1 < shards_.size(); ++i) {
        if (!shards_[i].tensors().contains(name)) continue;
        throw Error(ErrorKind::kModel,
                    "tensor " + name + " is in " + shards_[i].path().string() + " and in " + file.string());
      }
    }
  }
}

const SafeTensor* Checkpoint::find(const std::string& name) const {
  for (const SafetensorsFile& shard : shards_) {
    if (const auto found = shard.tensors().find(name); found != shard.tensors().end()) return &found->second;
  }
  return nullptr;
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const SafetensorsFile& shard : shards_) {
    for (const auto& [name, tensor] : shard.tensors()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string Checkpoint::where() const { return shards_.front().path().string(); }

std::string Checkpoint::fingerprint() const {
  Fingerprint hash;
  for (const SafetensorsFile& shard : shards_) hash.add(std::to_string(shard.bytes().size()) + " ").add(shard.bytes());
  return hash.hex();
}

void Checkpoint::release() const {
  for (const SafetensorsFile& shard : shards_) shard.release();
}

}  // namespace lmbits
