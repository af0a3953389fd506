#include "src/selection/pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>

#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/corpus/byte_source.h"

namespace lmbits {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Finds records in a stream of bytes, wherever it is cut.
class RecordFinder {
 public:
  struct Record {
    std::int64_t begin, length, line;
  };
  virtual ~RecordFinder() = default;
  virtual void add(std::string_view bytes) = 0;
  virtual void finish() = 0;
  std::vector<Record> found;

 protected:
  std::int64_t at_ = 0;  // in the file
};

class LineFinder final : public RecordFinder {
 public:
  void add(std::string_view bytes) override {
    std::size_t from = 0;
    if (at_ == 0 && bytes.starts_with("\xEF\xBB\xBF")) begin_ = 3, from = 3;
    while (true) {
      const std::size_t newline = bytes.find('\n', from);
      look(bytes.substr(from, newline - from));  // npos - from: all that is left
      if (newline == std::string_view::npos) break;
      end_line(at_ + static_cast<std::int64_t>(newline));
      from = newline + 1;
    }
    at_ += std::ssize(bytes);
  }
  void finish() override { end_line(at_); }

 private:
  void look(std::string_view part) {
    for (std::size_t i = 0; !has_text_ && i < part.size(); ++i) has_text_ = !is_space(part[i]);
  }
  void end_line(std::int64_t end) {
    ++line_;
    if (has_text_) found.push_back({begin_, end - begin_, line_});
    begin_ = end + 1;
    has_text_ = false;
  }

  std::int64_t begin_ = 0, line_ = 0;
  bool has_text_ = false;
};

class ElementFinder final : public RecordFinder {
 public:
  explicit ElementFinder(std::string path) : path_(std::move(path)) {}

  void add(std::string_view bytes) override {
    for (std::size_t i = at_ == 0 && bytes.starts_with("\xEF\xBB\xBF") ? 3 : 0; i < bytes.size(); ++i)
      step(bytes[i], at_ + static_cast<std::int64_t>(i));
    at_ += std::ssize(bytes);
  }
  void finish() override {
    if (depth_ != -1) fail("ends inside of the array");
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorKind::kData, path_ + ": " + why,
                "a .json pool is one array of objects; a record a line is .jsonl");
  }

  // depth: 0 before the array, 1 between its elements, more inside of one, -1 behind the array.
  void step(char c, std::int64_t at) {
    if (in_string_) {
      if (is_escaped_) {
        is_escaped_ = false;
      } else if (c == '\\') {
        is_escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      return;
    }
    if (is_space(c)) return;
    if (depth_ == 0 && c != '[') fail("does not begin with [");
    if (depth_ == -1) fail("goes on behind the array, at byte " + std::to_string(at));
    if (depth_ == 1 && (c == ',' || c == ']')) return end_element(c, at);
    if (depth_ == 1 && begin_ < 0) begin_ = at;
    if (c == '"') in_string_ = true;
    if (c == '[' || c == '{') ++depth_;
    if (c == ']' || c == '}') --depth_;
    if (depth_ < 1) fail("closes more than it opens, at byte " + std::to_string(at));
  }

  void end_element(char c, std::int64_t at) {
    if (begin_ >= 0) found.push_back({begin_, at - begin_, std::ssize(found) + 1});
    if (begin_ < 0 && (c == ',' || !found.empty())) fail("has no element before byte " + std::to_string(at));
    begin_ = -1;
    if (c == ']') depth_ = -1;
  }

  std::string path_;
  int depth_ = 0;
  bool in_string_ = false, is_escaped_ = false;
  std::int64_t begin_ = -1;
};

std::string without_compression(const std::string& path) {
  return is_compressed_name(path) ? path.substr(0, path.rfind('.')) : path;
}

[[noreturn]] void fail_on(const std::string& action, const std::filesystem::path& path) {
  const int error = errno;
  throw Error(
      ErrorKind::kData, "cannot " + action + " " + path.string() + ": " + std::generic_category().message(error),
      error == ENOSPC ? "a compressed pool is unpacked beside the output: free some space there" : "check the path");
}

int open_or_fail(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (fd < 0) fail_on("open", path);
  return fd;
}

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_on("write", path);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

Pool::Pool(const std::string& path, const std::filesystem::path& spool)
    : file_(is_compressed_name(path) ? open_or_fail(spool, O_RDWR | O_CREAT | O_TRUNC) : open_or_fail(path, O_RDONLY)) {
  const std::string name = without_compression(path);
  is_array_ = name.ends_with(".json");
  if (!is_array_ && !name.ends_with(".jsonl") && !name.ends_with(".ndjson")) {
    throw Error(ErrorKind::kUsage, path + ": a pool is .jsonl, .ndjson or .json, also as .gz or .zst",
                "a record a line: {\"text\": \"...\"} or a conversation");
  }
  std::unique_ptr<RecordFinder> finder;
  if (is_array_) {
    finder = std::make_unique<ElementFinder>(path);
  } else {
    finder = std::make_unique<LineFinder>();
  }
  const auto source = open_bytes(path);
  Fingerprint hash;
  for (std::string buffer; append_some(*source, buffer); buffer.clear()) {
    hash.add(buffer);
    finder->add(buffer);
    if (is_compressed_name(path)) write_all(file_.get(), buffer, spool);
  }
  finder->finish();
  fingerprint_ = hash.hex();
  bool is_every_line = true;
  for (const RecordFinder::Record& record : finder->found) {
    begins_.push_back(record.begin);
    lengths_.push_back(record.length);
    is_every_line = is_every_line && record.line == std::ssize(begins_);
  }
  if (is_every_line) return;
  for (const RecordFinder::Record& record : finder->found) lines_.push_back(record.line);
}

std::string Pool::record(std::int64_t i) const {
  const auto k = static_cast<std::size_t>(i);
  std::string bytes(static_cast<std::size_t>(lengths_[k]), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        ::pread(file_.get(), bytes.data() + done, bytes.size() - done, begins_[k] + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_on("read", "the pool");
    if (n == 0)
      throw Error(ErrorKind::kData, "the pool is shorter than it was", "it must not change while samples are chosen");
    done += static_cast<std::size_t>(n);
  }
  while (!bytes.empty() && is_space(bytes.back())) bytes.pop_back();
  return bytes;
}

std::string Pool::place(std::int64_t i) const {
  const std::int64_t number = lines_.empty() ? i + 1 : lines_[static_cast<std::size_t>(i)];
  return (is_array_ ? "element " : "line ") + std::to_string(number);
}

}  // namespace lmbits
