#include "src/weights/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLargestHeader = 100'000'000;  // bytes, as other readers have it

// Bits of an element, by dtype.
std::optional<std::int64_t> element_bits(const std::string& dtype) {
  static const std::map<std::string, std::int64_t> bits = {
      {"BOOL", 8}, {"U8", 8},   {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},
      {"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16},   {"I32", 32},    {"U32", 32},
      {"F32", 32}, {"I64", 64}, {"U64", 64}, {"F64", 64},    {"C64", 64}};
  const auto found = bits.find(dtype);
  return found == bits.end() ? std::nullopt : std::optional(found->second);
}

// a * b, or nullopt where it is no int64.
std::optional<std::int64_t> product(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? std::nullopt : std::optional(result);
}

std::string_view map_file(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    throw Error(ErrorKind::kModel,
                "cannot open the weights " + path.string() + ": " + std::generic_category().message(errno),
                "check the path");
  }
  if (!S_ISREG(status.st_mode)) throw Error(ErrorKind::kModel, path.string() + " is not a file");
  if (status.st_size == 0) return {};
  const auto size = static_cast<std::size_t>(status.st_size);
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (memory == MAP_FAILED) {
    throw Error(ErrorKind::kModel, "cannot map " + path.string() + ": " + std::generic_category().message(errno));
  }
  return {static_cast<const char*>(memory), size};
}

// The tensors that the header describes, as views into the mapped file.
class Header {
 public:
  Header(const fs::path& path, std::string_view file) : path_(path), file_(file) {}

  std::map<std::string, SafeTensor> read() {
    const Json header = parse(text());
    for (const auto& [name, entry] : header.items()) {
      if (name != "__metadata__") tensors_[name] = tensor(name, entry);
    }
    check_cover();
    return std::move(tensors_);
  }

 private:
  [[noreturn]] void damaged(const std::string& what) const {
    throw Error(
        ErrorKind::kModel,
        path_.string() + " (" + std::to_string(file_.size()) + " bytes) is damaged or not a safetensors file: " + what,
        "compare its size with the original's and copy it again; a checkpoint that is being written is not "
        "complete");
  }

  std::string_view text() {
    if (file_.size() < 8) damaged("it has fewer than 8 bytes");
    std::uint64_t length = 0;
    std::memcpy(&length, file_.data(), sizeof length);
    if (length > file_.size() - 8 || length > kLargestHeader) {
      damaged("its header would have " + std::to_string(length) + " bytes");
    }
    data_ = file_.substr(8 + length);
    return file_.substr(8, length);
  }

  Json parse(std::string_view text) const {
    std::vector<std::set<std::string>> keys;  // by depth
    const auto refuse_twins = [&](int depth, Json::parse_event_t event, Json& value) {
      if (depth > 8) damaged("its header is nested deeper than it can be");
      const auto at = static_cast<std::size_t>(depth);
      if (event == Json::parse_event_t::object_start) {
        keys.resize(std::max(keys.size(), at + 2));
        keys[at + 1].clear();
      }
      if (event == Json::parse_event_t::key && !keys[at].insert(value.get<std::string>()).second) {
        damaged("its header names " + value.dump(-1, ' ', false, Json::error_handler_t::replace) + " twice");
      }
      return true;
    };
    try {
      Json header = Json::parse(text, refuse_twins);
      if (!header.is_object()) damaged("its header is no JSON object");
      return header;
    } catch (const Json::exception&) {
      damaged("its header is no JSON");
    }
  }

  SafeTensor tensor(const std::string& name, const Json& entry) const {
    const std::string what = "tensor " + name + ": ";
    const auto field = [&](const char* key) -> const Json& {
      if (!entry.is_object() || !entry.contains(key)) damaged(what + "it has no `" + key + "`");
      return entry[key];
    };
    SafeTensor t;
    if (!field("dtype").is_string()) damaged(what + "`dtype` is " + field("dtype").dump());
    t.dtype = field("dtype").get<std::string>();
    const auto bits = element_bits(t.dtype);
    if (!bits) damaged(what + "the dtype " + t.dtype + " is not known");
    t.shape = numbers(field("shape"), what + "`shape`");
    std::optional<std::int64_t> n_bytes = *bits / 8;
    for (const std::int64_t n : t.shape) {
      if (n_bytes) n_bytes = product(*n_bytes, n);
    }
    const std::vector<std::int64_t> at = numbers(field("data_offsets"), what + "`data_offsets`");
    if (at.size() != 2 || at[0] > at[1] || static_cast<std::uint64_t>(at[1]) > data_.size()) {
      damaged(what + "its bytes are " + field("data_offsets").dump() + ", the file has " +
              std::to_string(data_.size()) + " of data");
    }
    if (n_bytes != at[1] - at[0]) {
      damaged(what + t.dtype + " " + shape_text(t.shape) + " does not take " + std::to_string(at[1] - at[0]) +
              " bytes");
    }
    t.bytes = data_.substr(static_cast<std::size_t>(at[0]), static_cast<std::size_t>(at[1] - at[0]));
    return t;
  }

  std::vector<std::int64_t> numbers(const Json& list, const std::string& what) const {
    if (!list.is_array()) damaged(what + " is no list");
    std::vector<std::int64_t> result;
    for (const Json& n : list) {
      const bool fits = n.is_number_unsigned() && n.get<std::uint64_t>() <= INT64_MAX;
      if (!fits) damaged(what + " is " + list.dump(-1, ' ', false, Json::error_handler_t::replace));
      result.push_back(n.get<std::int64_t>());
    }
    return result;
  }

  // Laid end to end, the tensors are the data.
  void check_cover() const {
    std::vector<std::pair<const char*, const std::string*>> in_order;
    for (const auto& [name, t] : tensors_) {
      if (!t.bytes.empty()) in_order.emplace_back(t.bytes.data(), &name);
    }
    std::sort(in_order.begin(), in_order.end());
    const char* end = data_.data();
    for (const auto& [begin, name] : in_order) {
      if (begin != end) {
        damaged("tensor " + *name + " begins at " + std::to_string(begin - data_.data()) +
                ", what is before it ends at " + std::to_string(end - data_.data()));
      }
      end = begin + tensors_.at(*name).bytes.size();
    }
    if (end != data_.data() + data_.size()) {
      damaged(std::to_string(data_.data() + data_.size() - end) + " bytes of its data belong to no tensor");
    }
  }

  const fs::path& path_;
  std::string_view file_, data_;
  std::map<std::string, SafeTensor> tensors_;
};

}  // namespace

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

SafetensorsFile::SafetensorsFile(const fs::path& path) : path_(path), bytes_(map_file(path)) {
  try {
    tensors_ = Header(path_, bytes_).read();
  } catch (...) {
    if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() {
  if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})), tensors_(std::move(other.tensors_)) {}

void SafetensorsFile::release() const {
  if (!bytes_.empty()) ::madvise(const_cast<char*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

}  // namespace lmbits
