#include "src/core/file.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "src/core/error.h"
#include "tests/core/sandbox.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

std::size_t n_entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

// The text of the Error(kData) that `action` throws.
template <typename Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    EXPECT_FALSE(e.hint().empty());
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(File, ReadsWhatWasWritten) {
  const TemporaryFolder folder;
  for (const std::string& bytes : {std::string(), std::string("a\0b\r\n\xff", 6), std::string(200'001, 'x')}) {
    write_file_atomically(folder.path() / "f", bytes);
    EXPECT_EQ(read_file(folder.path() / "f"), bytes);
  }
  EXPECT_EQ(n_entries(folder.path()), 1u) << "no temporary file stays";
}

TEST(File, NamesThePathAndTheReasonWhenItCannotRead) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "missing";
  const std::string what = refusal([&] { read_file(path); });
  EXPECT_NE(what.find(path.string()), std::string::npos);
  EXPECT_NE(what.find(std::strerror(ENOENT)), std::string::npos);
  EXPECT_NE(refusal([&] { read_file(folder.path()); }).find(std::strerror(EISDIR)), std::string::npos);
}

TEST(File, AFailedWriteLeavesTheOldContentAndNoTemporaryFile) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  write_file_atomically(path, "old");
  EXPECT_EQ(run_in_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{1000, 1000};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              const std::string what = refusal([&] { write_file_atomically(path, std::string(5000, 'x')); });
              return what.find(std::strerror(EFBIG)) == std::string::npos ? 1 : 0;
            }),
            0);
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(n_entries(folder.path()), 1u);
}

TEST(File, AReaderSeesOneVersionOrTheOtherWhileAWriterIsKilled) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  const std::string versions[2] = {std::string(100'000, 'a'), std::string(70'000, 'b')};
  write_file_atomically(path, versions[0]);
  for (int round = 0; round < 10; ++round) {
    const pid_t writer = start_child([&]() -> int {
      for (int i = 0;; ++i) write_file_atomically(path, versions[i % 2]);
    });
    for (int i = 0; i < 10; ++i) {
      const std::string bytes = read_file(path);
      EXPECT_TRUE(bytes == versions[0] || bytes == versions[1]) << bytes.size();
      ::usleep(static_cast<useconds_t>(100 * round));
    }
    ::kill(writer, SIGKILL);
    EXPECT_EQ(wait_for(writer), -SIGKILL);
    const std::string bytes = read_file(path);
    EXPECT_TRUE(bytes == versions[0] || bytes == versions[1]) << bytes.size();
  }
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    EXPECT_TRUE(entry.path() == path || is_temporary_file(entry.path())) << entry.path();
  }
}

TEST(File, WritesThroughASymbolicLink) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "real", "old");
  fs::create_symlink("real", folder.path() / "link");
  write_file_atomically(folder.path() / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link"));
  EXPECT_EQ(read_file(folder.path() / "real"), "new");
}

TEST(File, NeverReplacesWhatIsNoRegularFile) {  // as root, a rename onto /dev/null would break the machine
  const TemporaryFolder folder;
  const fs::path pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_NE(refusal([&] { write_file_atomically(pipe, "x"); }).find("not a regular file"), std::string::npos);
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST(AppendFile, AppendsLinesAndCutsToTheLengthItIsGiven) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  {
    AppendFile file(path, 0);
    file.append("one");
    file.append("two");
  }
  EXPECT_EQ(read_file(path), "one\ntwo\n");
  AppendFile file(path, 4);
  EXPECT_EQ(read_file(path), "one\n");
  file.append("three");
  file.sync();
  EXPECT_EQ(read_file(path), "one\nthree\n");
}

// Appends lines of 100 bytes until the first failure, frees space, appends one more; 0 if all is as it should be.
template <typename Free>
int fill(const fs::path& path, const std::string& reason, Free free) {
  AppendFile file(path, 0);
  std::string expected;
  const std::string line(99, 'x');
  try {
    while (true) {
      file.append(line);
      expected += line + "\n";
      if (expected.size() > 10'000'000) return 1;
    }
  } catch (const Error& e) {
    const std::string what = e.what();
    if (e.kind() != ErrorKind::kData || e.hint().empty()) return 2;
    if (what.find(path.string()) == std::string::npos || what.find(reason) == std::string::npos) return 3;
  }
  if (read_file(path) != expected) return 4;
  free();
  file.append("after");
  return read_file(path) == expected + "after\n" ? 0 : 5;
}

TEST(AppendFile, CutsThePartialLineBackAtAFileSizeLimitAndGoesOnAfterwards) {
  const TemporaryFolder folder;
  EXPECT_EQ(run_in_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              rlimit limit{12'345, RLIM_INFINITY};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              return fill(folder.path() / "f", std::strerror(EFBIG), [&] {
                limit.rlim_cur = RLIM_INFINITY;
                ::setrlimit(RLIMIT_FSIZE, &limit);
              });
            }),
            0);
}

TEST(AppendFile, CutsThePartialLineBackOnAFullDiskAndGoesOnAfterwards) {
  const TemporaryFolder folder;
  if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "needs the right to mount a small tmpfs: " << std::strerror(errno);
  }
  put_file(folder.path() / "ballast", std::string(10'000, 'b'));
  const int status = run_in_child(
      [&] { return fill(folder.path() / "f", std::strerror(ENOSPC), [&] { fs::remove(folder.path() / "ballast"); }); });
  ::umount(folder.path().c_str());
  EXPECT_EQ(status, 0);
}

TEST(FolderLock, RefusesASecondHolderAndNamesTheFirst) {
  const TemporaryFolder folder;
  const FolderLock first(folder.path());
  const auto expect_refused = [&] {
    try {
      const FolderLock second(folder.path());
      return 1;
    } catch (const Error& e) {
      const std::string holder = "process " + std::to_string(::getpid()) + " ";
      const std::string parent = "process " + std::to_string(::getppid()) + " ";
      const std::string what = e.what();
      const bool named = what.find(holder) != std::string::npos || what.find(parent) != std::string::npos;
      return e.kind() == ErrorKind::kConfig && named ? 0 : 2;
    }
  };
  EXPECT_EQ(expect_refused(), 0) << "in the same process";
  EXPECT_EQ(run_in_child(expect_refused), 0) << "in another process";
}

TEST(FolderLock, IsFreeOnceItsHolderIsGone) {
  const TemporaryFolder folder;
  { const FolderLock first(folder.path()); }
  { const FolderLock second(folder.path()); }
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t holder = start_child([&]() -> int {
    const FolderLock lock(folder.path());
    if (::write(ready[1], "x", 1) != 1) return 1;
    while (true) ::pause();
  });
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THROW(FolderLock{folder.path()}, Error);
  ::kill(holder, SIGKILL);
  wait_for(holder);
  EXPECT_NO_THROW(FolderLock{folder.path()});
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(FolderLock, SaysSoWhenTheFolderIsReadOnly) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0555));
  EXPECT_EQ(run_in_child([&] {
              drop_privileges();
              const std::string what = refusal([&] { const FolderLock lock(folder.path()); });
              return what.find(std::strerror(EACCES)) == std::string::npos ? 1 : 0;
            }),
            0);
}

}  // namespace
}  // namespace lmbits
