// A TorchScript archive or an AOTInductor package as a zip of records, before anything in it is run.
#pragma once
#include <map>
#include <memory>
#include <string>

namespace lmbits {

struct Archive {
  std::string path;
  std::string content_hash;  // see below
  std::string metadata;      // the extra file lmbits.json, empty where there is none
  // Of a package of machine code (package.h): all its records, so that what is run is what was hashed. Else empty.
  std::map<std::string, std::string> package;
};

// XXH3-128 over every record but lmbits.json and .data/serialization_id, in the order of their names (without the archive's root folder): the
// name, a zero byte, the length as 8 little-endian bytes, the bytes. The zip's own checksums are not verified when
// TorchScript loads an archive, so flipped weights load silently; this hash is what notices.
//
// Throws Error(kModel) when `path` is no readable archive.
Archive read_archive(const std::string& path);

// One extra file of the archive; empty where there is none.
std::string read_extra_file(const std::string& path, const std::string& name);

}  // namespace lmbits
