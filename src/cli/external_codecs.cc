#include "src/cli/external_codecs.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "src/core/error.h"
#include "src/core/file.h"

namespace lmbits::cli {
namespace {

namespace fs = std::filesystem;

// A folder below the system's temporary one, gone with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "lmbits-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      throw Error(ErrorKind::kData, "cannot make a folder in " + fs::temp_directory_path().string(),
                  "set TMPDIR to a folder that you may write to");
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

struct Finished {
  int status;
  double cpu_seconds;
};

// Runs it with its output and errors in `log`.
Finished run(const std::string& path, const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv = {const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int failure = posix_spawn(&child, path.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0)
    throw Error(ErrorKind::kData, "cannot run " + path + ": " + std::generic_category().message(failure));
  int status = 0;
  rusage usage{};
  while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return {status, seconds(usage.ru_utime) + seconds(usage.ru_stime)};
}

}  // namespace

const std::vector<ExternalCodec>& external_codecs() {
  static const std::vector<ExternalCodec> codecs = {
      {"zpaq-5", "zpaq", {"add", "{out}", "{in}", "-m5", "-t1"}, {}},
      {"7z-ppmd-9", "7z", {"a", "-bd", "-mmt=1", "-m0=PPMd", "-mx=9", "{out}", "{in}"}, {"i"}},
      {"bzip3", "bzip3", {"-e", "-b", "511", "{in}", "{out}"}, {"-V"}},
      {"lrzip-zpaq-9", "lrzip", {"-q", "-z", "-L", "9", "-p", "1", "-o", "{out}", "{in}"}, {"-V"}},
  };
  return codecs;
}

std::optional<std::string> find_program(const std::string& program) {
  const char* path = std::getenv("PATH");
  if (path == nullptr) return std::nullopt;
  const std::string folders = path;
  for (std::size_t begin = 0; begin <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string candidate = folders.substr(begin, end - begin) + "/" + program;
    if (access(candidate.c_str(), X_OK) == 0 && fs::is_regular_file(candidate)) return candidate;
    begin = end + 1;
  }
  return std::nullopt;
}

std::string version_of(const ExternalCodec& codec, const std::string& path) {
  const ScratchFolder scratch;
  const std::string log = scratch / "log";
  run(path, codec.version_arguments, log);
  const std::string text = read_file(log);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    const std::size_t digit = line.find_first_of("0123456789");
    if (digit != std::string::npos && line.find('.', digit) != std::string::npos) return line.substr(0, 60);
    begin = end + 1;
  }
  return {};
}

SpoolFile::SpoolFile()
    : path_((fs::temp_directory_path() / "lmbits-XXXXXX").string()), fd_(mkostemp(path_.data(), O_CLOEXEC)) {
  if (fd_ < 0)
    throw Error(ErrorKind::kData, "cannot make a file in " + fs::temp_directory_path().string(),
                "set TMPDIR to a folder that you may write to");
}

SpoolFile::~SpoolFile() {
  close(fd_);
  unlink(path_.c_str());
}

void SpoolFile::append(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(ErrorKind::kData, "cannot write " + path_ + ": " + std::generic_category().message(errno));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

ExternalSize external_size(const ExternalCodec& codec, const std::string& path, const std::string& input) {
  const ScratchFolder scratch;
  const std::string out = scratch / (codec.program == "7z" ? "out.7z" : codec.program == "zpaq" ? "out.zpaq" : "out");
  const std::string log = scratch / "log";
  std::vector<std::string> arguments = codec.arguments;
  for (std::string& argument : arguments) {
    if (argument == "{in}") argument = input;
    if (argument == "{out}") argument = out;
  }
  const Finished finished = run(path, arguments, log);
  std::error_code none;
  const auto size = fs::file_size(out, none);
  if (finished.status != 0 || none) {
    const std::string said = read_file(log);
    throw Error(ErrorKind::kData, path + " failed: " + said.substr(0, std::min(said.find('\n'), std::size_t{200})),
                "leave out --external, or mend the program");
  }
  return {static_cast<std::int64_t>(size), finished.cpu_seconds};
}

}  // namespace lmbits::cli
