#include "src/core/atomic_file.h"

#include <gtest/gtest.h>

#include <csignal>

#include "tests/core/sandbox.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

std::size_t n_entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

TEST(AtomicFile, AppearsAsAWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  {
    AtomicFile file(path);
    file.append("0123456789");
  }
  EXPECT_EQ(n_entries(folder.path()), 0u) << "what is not committed goes";
  AtomicFile file(path), other(path);
  file.append("0123");
  file.append(std::string(3 << 20, 'x'));
  file.overwrite(1, "ab");
  file.append("end");
  EXPECT_FALSE(fs::exists(path));
  remove_abandoned_files(folder.path());  // they are written at this moment
  other.append("other");
  other.commit();
  EXPECT_EQ(read_file(path), "other");
  file.commit();
  EXPECT_EQ(read_file(path), "0ab3" + std::string(3 << 20, 'x') + "end");
  EXPECT_EQ(MappedFile(path).bytes(), read_file(path));
  EXPECT_EQ(n_entries(folder.path()), 1u);
}

TEST(AtomicFile, WhatAKilledProcessLeftIsRemoved) {
  const TemporaryFolder folder;
  EXPECT_NE(run_in_child([&] {
              AtomicFile file(folder.path() / "f");
              file.append(std::string(3 << 20, 'x'));
              std::raise(SIGKILL);
              return 0;
            }),
            0);
  EXPECT_EQ(n_entries(folder.path()), 1u);
  remove_abandoned_files(folder.path());
  EXPECT_EQ(n_entries(folder.path()), 0u);
}

}  // namespace
}  // namespace lmbits
