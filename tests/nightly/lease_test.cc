#include "src/nightly/lease.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

class LeaseTest : public ::testing::Test {
 protected:
  // As another host's process would have left it, its heartbeat `age_s` ago.
  void write_foreign_lease(double age_s) {
    std::ofstream(file) << Json({{"host", "elsewhere"}, {"pid", 1}, {"start", "5"}, {"boot", "b"}}).dump() << "\n";
    fs::last_write_time(file,
                        fs::file_time_type::clock::now() - std::chrono::milliseconds(static_cast<long>(age_s * 1e3)));
  }

  testing::TemporaryFolder folder;
  fs::path file = folder / "nightly.lease";
  std::string note;
  LeaseOptions quick{.heartbeat_s = 0.02, .stale_s = 5.0};
};

TEST_F(LeaseTest, IsHeldByOneAtATimeAndGivenBack) {
  {
    const Lease lease(file, {}, note);
    EXPECT_TRUE(lease.is_held());
    try {
      const Lease second(file, {}, note);
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kConfig);
      EXPECT_NE(std::string(e.what()).find("process " + std::to_string(getpid())), std::string::npos);
    }
    EXPECT_TRUE(lease.is_held());
  }
  EXPECT_FALSE(fs::exists(file));
  const Lease again(file, {}, note);
  EXPECT_TRUE(note.empty());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);  // no files beside it
}

TEST_F(LeaseTest, OfADeadProcessOfThisHostIsTakenOverAtOnce) {
  const pid_t child = fork();
  if (child == 0) {
    std::string none;
    new Lease(file, {}, none);  // not given back
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(fs::exists(file));
  const Lease lease(file, {}, note);
  EXPECT_NE(note.find("process " + std::to_string(child)), std::string::npos) << note;
  EXPECT_TRUE(lease.is_held());
}

TEST_F(LeaseTest, OfAnotherHostIsRespectedUntilItsHeartbeatStops) {
  write_foreign_lease(1.0);
  EXPECT_THROW(Lease(file, quick, note), Error);
  write_foreign_lease(60.0);
  const Lease lease(file, quick, note);
  EXPECT_NE(note.find("elsewhere"), std::string::npos);
}

// A clock that jumped ahead makes an old heartbeat of a living process of this host no older.
TEST_F(LeaseTest, OfALivingProcessOfThisHostIsRespectedWhateverTheClockSays) {
  const Lease lease(file, {.heartbeat_s = 1e6, .stale_s = 5.0}, note);
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(48));
  EXPECT_THROW(Lease(file, quick, note), Error);
}

TEST_F(LeaseTest, IsRenewedWhileItIsHeld) {
  const Lease lease(file, quick, note);
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
  for (int k = 0; k < 200; ++k) {
    if (fs::file_time_type::clock::now() - fs::last_write_time(file) < std::chrono::minutes(1)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL() << "no heartbeat in 4 s";
}

TEST_F(LeaseTest, ThatIsUnreadableIsTakenOver) {
  std::ofstream(file) << "\x01not json";
  const Lease lease(file, quick, note);
  EXPECT_TRUE(lease.is_held());
  EXPECT_FALSE(note.empty());
}

// Twenty processes find the same dead holder: one gets the lease.
TEST_F(LeaseTest, IsTakenOverByOneOfMany) {
  write_foreign_lease(60.0);
  std::vector<pid_t> children;
  for (int k = 0; k < 20; ++k) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        std::string none;
        new Lease(file, {.heartbeat_s = 10.0, .stale_s = 5.0}, none);
        std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // alive while the others try
        _exit(1);
      } catch (const Error&) {
        _exit(0);
      }
    }
    children.push_back(child);
  }
  int n_holders = 0;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    n_holders += WEXITSTATUS(status);
  }
  EXPECT_EQ(n_holders, 1);
}

// Last: request_stop has no way back.
TEST_F(LeaseTest, ThatWasTakenByAnotherStopsTheWork) {
  ASSERT_FALSE(stop_requested());
  const Lease lease(file, quick, note);
  write_foreign_lease(0.0);
  for (int k = 0; k < 200 && !stop_requested(); ++k) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(stop_requested());
  EXPECT_FALSE(lease.is_held());
}

}  // namespace
}  // namespace lmbits
