// A safetensors file as named tensors in memory that the operating system maps: nothing is read before it is used.
//
// Format: 8 bytes little-endian N, N bytes of JSON {"NAME": {"dtype", "shape", "data_offsets": [begin, end)}, ...,
// "__metadata__": {string: string}}, then the data, little-endian and row-major, which offsets count from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

struct SafeTensor {
  std::string dtype;  // F32, F16, BF16, I64 ...
  std::vector<std::int64_t> shape;
  std::string_view bytes;  // n elements * size of one; lives as long as the file object
};

// "[2, 3]".
std::string shape_text(const std::vector<std::int64_t>& shape);

class SafetensorsFile {
 public:
  // Maps the file and checks all of its header: what it says must fit the file to the byte, without gaps or overlaps,
  // each tensor's bytes its dtype and shape. Throws Error(kModel) naming the file, the tensor and both values.
  // The data itself has no checksum: changed weights are seen by whoever knows their hash, not here. A file that another
  // process shortens while it is mapped ends this one (SIGBUS), as mapped files do.
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&& other) noexcept;
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(SafetensorsFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, SafeTensor>& tensors() const { return tensors_; }
  std::string_view bytes() const { return bytes_; }  // the whole file

  // Lets the system take back the memory of what was read; it is read again where it is used again.
  void release() const;

 private:
  std::filesystem::path path_;
  std::string_view bytes_;
  std::map<std::string, SafeTensor> tensors_;
};

}  // namespace lmbits
