// A stream of bytes: a file as it is, or what a .gz or .zst file decompresses to.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace lmbits {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to `n` (>= 1) bytes into `out`; 0 only at the end. Throws Error(kData), naming the file and the offset in it,
  // where reading fails or a compressed stream is corrupt, ends early or is followed by something else.
  virtual std::size_t read(char* out, std::size_t n) = 0;
};

// Throws Error(kData) where the file cannot be opened.
std::unique_ptr<ByteSource> open_raw_bytes(const std::string& path);

// The same, decompressed where the name ends in .gz (all members; zero padding at the end is ignored, as gzip does) or
// .zst (all frames, any window size). Memory is the decompressor's window, whatever the file's size.
std::unique_ptr<ByteSource> open_bytes(const std::string& path);

// A string as a source.
std::unique_ptr<ByteSource> bytes_in_memory(std::string bytes);

// Whether open_bytes would decompress a file of this name.
bool is_compressed_name(const std::string& path);

// Of one read: large enough for the system call not to matter, small enough for a folder of tiny files.
inline constexpr std::size_t kReadBytes = std::size_t{1} << 16;

// Appends up to kReadBytes to `buffer`; false at the end.
bool append_some(ByteSource& source, std::string& buffer);

}  // namespace lmbits
