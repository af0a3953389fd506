#include "src/corpus/byte_source.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include "src/core/error.h"

namespace lmbits {
namespace {

class FileSource : public ByteSource {
 public:
  explicit FileSource(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rb"), &std::fclose) {
    if (!file_) {
      throw Error(ErrorKind::kData, path + ": cannot be opened: " + std::strerror(errno),
                  "check the path and its permissions");
    }
    std::setvbuf(file_.get(), nullptr, _IONBF, 0);  // callers read in large pieces already
  }

  std::size_t read(char* out, std::size_t n) override {
    const std::size_t n_read = std::fread(out, 1, n, file_.get());
    if (n_read == 0 && std::ferror(file_.get())) {
      throw Error(ErrorKind::kData,
                  path_ + ": cannot be read at byte " + std::to_string(offset_) + ": " + std::strerror(errno));
    }
    offset_ += n_read;
    return n_read;
  }

 private:
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::size_t offset_ = 0;
};

class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}

  std::size_t read(char* out, std::size_t n) override {
    const std::size_t n_read = bytes_.copy(out, n, offset_);
    offset_ += n_read;
    return n_read;
  }

 private:
  std::string bytes_;
  std::size_t offset_ = 0;
};

// What both decompressors need: the compressed file in pieces, and where in it they are.
class CompressedSource : public ByteSource {
 protected:
  CompressedSource(const std::string& path, const char* format)
      : path_(path), format_(format), file_(path), input_(kReadBytes) {}

  std::string_view refill() {  // empty at the end of the file
    const std::size_t n = file_.read(input_.data(), input_.size());
    offset_ += n;
    return {input_.data(), n};
  }

  [[noreturn]] void fail(const std::string& why, std::size_t n_unused) const {
    throw Error(ErrorKind::kData,
                path_ + ": the " + format_ + " stream " + why + " at byte " + std::to_string(offset_ - n_unused) +
                    " of the file",
                "the file is damaged or was cut short: fetch or compress it again");
  }

 private:
  std::string path_;
  const char* format_;
  FileSource file_;
  std::vector<char> input_;
  std::size_t offset_ = 0;  // bytes of the file handed out so far
};

class GzipSource : public CompressedSource {
 public:
  explicit GzipSource(const std::string& path) : CompressedSource(path, "gzip") {
    constexpr int kGzipOnly = 15 + 16;  // the largest window, and the gzip wrapper alone
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  std::size_t read(char* out, std::size_t n) override {
    const auto capacity = static_cast<uInt>(std::min(n, kReadBytes));
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = capacity;
    while (stream_.avail_out > 0) {
      if (stream_.avail_in == 0 && !more_input()) break;
      if (!in_member_ && !begin_member()) continue;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        in_member_ = false;
        inflateReset(&stream_);
      } else if (status != Z_OK) {
        fail(std::string("is corrupt (") + (stream_.msg ? stream_.msg : zError(status)) + ")", stream_.avail_in);
      }
    }
    return capacity - stream_.avail_out;
  }

 private:
  bool more_input() {
    const std::string_view input = refill();
    if (input.empty() && (in_member_ || !seen_member_)) fail("ends too early", 0);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    return !input.empty();
  }

  // Another member begins here, unless this is padding after the last one: then skips it and returns false.
  bool begin_member() {
    if (seen_member_ && *stream_.next_in == 0) {
      padded_ = true;
      ++stream_.next_in;
      --stream_.avail_in;
      return false;
    }
    if (padded_) fail("is followed by zeros and then other bytes", stream_.avail_in);
    return in_member_ = seen_member_ = true;
  }

  z_stream stream_{};
  bool in_member_ = false;
  bool seen_member_ = false;
  bool padded_ = false;
};

class ZstdSource : public CompressedSource {
 public:
  explicit ZstdSource(const std::string& path)
      : CompressedSource(path, "zstd"), stream_(ZSTD_createDStream(), &ZSTD_freeDStream) {
    if (!stream_) throw std::bad_alloc();
    // Frames made with --long need a larger window than the decoder grants by default.
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
  }

  std::size_t read(char* out, std::size_t n) override {
    ZSTD_outBuffer output{out, n, 0};
    while (output.pos < output.size) {
      if (input_.pos == input_.size && !unflushed_ && !more_input()) break;
      const std::size_t status = ZSTD_decompressStream(stream_.get(), &output, &input_);
      if (ZSTD_isError(status)) {
        fail(std::string("is corrupt (") + ZSTD_getErrorName(status) + ")", input_.size - input_.pos);
      }
      in_frame_ = status != 0;
      unflushed_ = in_frame_ && output.pos == output.size;  // more may be held back, says zstd.h
    }
    return output.pos;
  }

 private:
  bool more_input() {
    const std::string_view input = refill();
    if (input.empty() && in_frame_) fail("ends too early", 0);
    input_ = {input.data(), input.size(), 0};
    return !input.empty();
  }

  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  bool in_frame_ = true;  // so that a file without any frame ends too early
  bool unflushed_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_raw_bytes(const std::string& path) { return std::make_unique<FileSource>(path); }

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  if (path.ends_with(".gz")) return std::make_unique<GzipSource>(path);
  if (path.ends_with(".zst")) return std::make_unique<ZstdSource>(path);
  return open_raw_bytes(path);
}

std::unique_ptr<ByteSource> bytes_in_memory(std::string bytes) {
  return std::make_unique<MemorySource>(std::move(bytes));
}

bool is_compressed_name(const std::string& path) { return path.ends_with(".gz") || path.ends_with(".zst"); }

bool append_some(ByteSource& source, std::string& buffer) {
  const std::size_t size = buffer.size();
  buffer.resize(size + kReadBytes);
  const std::size_t n_read = source.read(buffer.data() + size, kReadBytes);
  buffer.resize(size + n_read);
  return n_read > 0;
}

}  // namespace lmbits
