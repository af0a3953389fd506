// Compressors that are programs of their own: used where they are installed, never required.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits::cli {

struct ExternalCodec {
  std::string name;                    // "zpaq-5": the row's
  std::string program;                 // looked for in PATH
  std::vector<std::string> arguments;  // {in} and {out} stand for the files
  std::vector<std::string> version_arguments;
};

// zpaq -m5, 7z PPMd -mx=9, bzip3 -b 511, lrzip -z -L 9.
const std::vector<ExternalCodec>& external_codecs();

// The program's path; nullopt where it is not installed.
std::optional<std::string> find_program(const std::string& program);

// The first line in which the program names a version; empty where it names none.
std::string version_of(const ExternalCodec& codec, const std::string& path);

// A file of one's own in the system's temporary folder, gone with the object.
class SpoolFile {
 public:
  SpoolFile();
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  void append(std::string_view bytes) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_;
};

struct ExternalSize {
  std::int64_t bytes;
  double cpu_seconds;
};

// What the program makes of the file at `input`, in a folder of its own that is removed. Throws Error(kData) where it
// fails.
ExternalSize external_size(const ExternalCodec& codec, const std::string& path, const std::string& input);

}  // namespace lmbits::cli
