// A folder's lease: at most one process, on any node that sees the folder, works there at a time.
//
// The lease is a file that names its holder (host, process, start of the process, boot) and whose modification time is the
// heartbeat. It needs no lock of the file system, which NFS and Lustre may not have: it comes into being by link(2), which
// only one of several processes can do. It is taken over when its holder is gone: on the same host when no such process
// runs any more, whatever the clocks say; from another host when the heartbeat is older than `stale_s`, by the file
// system's own clock, so that nodes whose clocks differ agree.
#pragma once
#include <filesystem>
#include <string>
#include <thread>

namespace lmbits {

struct LeaseOptions {
  double heartbeat_s = 15.0;
  double stale_s = 180.0;
};

class Lease {
 public:
  // Takes the lease `file`, or throws Error(kConfig) that names who holds it and since when. While it is held, a thread
  // renews it; when somebody else has taken it meanwhile (this process slept, the network was away), it calls
  // request_stop(). `note` gets a line where a dead holder's lease was taken over.
  Lease(const std::filesystem::path& file, const LeaseOptions& options, std::string& note);
  ~Lease();  // gives it back
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  bool is_held() const;  // still ours, as the file says

 private:
  std::filesystem::path file_;
  std::string content_;
  std::jthread heart_;
};

}  // namespace lmbits
