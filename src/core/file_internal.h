// What the sources of files share: errors with their reasons, whole writes. For src/core alone.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace lmbits::files {

inline constexpr const char* kTemporarySuffix = ".lmbits-tmp";

// Throws Error(kData): "cannot ACTION PATH: the reason of `error`".
[[noreturn]] void fail(const std::string& action, const std::filesystem::path& path, int error);
int open_or_fail(const std::string& action, const std::filesystem::path& path, int flags);

// Bytes of `bytes` written before the first error, which is then in errno.
std::size_t write_all(int fd, std::string_view bytes);

std::filesystem::path folder_of(const std::filesystem::path& path);
void sync_folder(const std::filesystem::path& folder);

// Where a write to `path` must go so that a symbolic link stays one and no device is replaced by a file.
std::filesystem::path regular_target(const std::filesystem::path& path);

}  // namespace lmbits::files
