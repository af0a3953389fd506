#include "src/model/archive.h"

#include <caffe2/serialize/inline_container.h>
#include <sys/stat.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "src/core/error.h"
#include "src/core/hash.h"

namespace lmbits {
namespace {

constexpr const char* kMetadataRecord = "extra/lmbits.json";
constexpr const char* kPackageRecord = "extra/package.json";
constexpr const char* kSerializationId = ".data/serialization_id";  // torch.jit.save's own, over lmbits.json too

// Runs `read` on the archive and turns whatever the reader throws on damaged input into one line.
template <typename Read>
auto with_archive(const std::string& path, Read read) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw Error(ErrorKind::kModel, "cannot open the model " + path, "check the path");
  }
  if (!S_ISREG(status.st_mode))
    throw Error(ErrorKind::kModel, path + " is not a file", "name a TorchScript archive (.pt) or a package (.pt2)");
  try {
    caffe2::serialize::PyTorchStreamReader reader(path);
    return read(reader);
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    throw Error(ErrorKind::kModel,
                path + " (" + std::to_string(status.st_size) + " bytes) is damaged or not a TorchScript archive",
                "export the model again, and compare the file's size with the original's");
  }
}

void add_record(Fingerprint& hash, const std::string& name, std::string_view bytes) {
  std::string head = name;
  head.push_back('\0');
  for (int shift = 0; shift < 64; shift += 8) head.push_back(static_cast<char>((bytes.size() >> shift) & 0xff));
  hash.add(head).add(bytes);
}

}  // namespace

Archive read_archive(const std::string& path) {
  return with_archive(path, [&](caffe2::serialize::PyTorchStreamReader& reader) {
    Archive archive{path, {}, {}, {}};
    const bool is_package = reader.hasRecord(kPackageRecord);
    std::vector<std::string> names = reader.getAllRecords();
    std::sort(names.begin(), names.end());
    Fingerprint hash;
    for (const std::string& name : names) {
      const auto [data, size] = reader.getRecord(name);
      const std::string_view bytes(static_cast<const char*>(data.get()), size);
      if (name == kMetadataRecord) {
        archive.metadata = std::string(bytes);
      } else if (name != kSerializationId) {
        add_record(hash, name, bytes);
      }
      if (is_package) archive.package.emplace(name, bytes);
    }
    if (!is_package && !reader.hasRecord("constants.pkl")) {
      const bool compiled = std::any_of(names.begin(), names.end(), [](const std::string& name) {
        return name.find("data/aotinductor/") != std::string::npos;
      });
      if (compiled) {
        throw Error(ErrorKind::kModel, path + " is a package without extra/package.json: what it needs is not known",
                    "make it with scripts/export_hf MODEL -o NAME.pt2");
      }
      throw Error(ErrorKind::kModel, path + " holds no TorchScript program (a state dict?)",
                  "export with torch.jit.script or torch.jit.trace, then torch.jit.save");
    }
    archive.content_hash = hash.hex();
    return archive;
  });
}

std::string read_extra_file(const std::string& path, const std::string& name) {
  return with_archive(path, [&](caffe2::serialize::PyTorchStreamReader& reader) {
    const std::string record = "extra/" + name;
    if (!reader.hasRecord(record)) return std::string();
    const auto [data, size] = reader.getRecord(record);
    return std::string(static_cast<const char*>(data.get()), size);
  });
}

}  // namespace lmbits
