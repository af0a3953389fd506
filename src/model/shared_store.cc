#include "src/model/shared_store.h"

#include <c10/util/Logging.h>

#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>
#include <vector>

#include "src/core/error.h"

namespace lmbits {
namespace {

std::string first_line(const char* text) {
  const std::string all = text;
  return all.substr(0, all.find('\n'));
}

class TcpStore final : public SharedStore {
 public:
  TcpStore(std::string place, c10::intrusive_ptr<c10d::Store> store)
      : place_(std::move(place)), store_(std::move(store)) {}

  std::int64_t add(const std::string& key, std::int64_t n) override {
    return ask([&] { return store_->add(key, n); });
  }
  void set(const std::string& key, const std::string& value) override {
    ask([&] {
      store_->set(key, std::vector<std::uint8_t>(value.begin(), value.end()));
      return 0;
    });
  }
  std::optional<std::string> get(const std::string& key) override {
    return ask([&]() -> std::optional<std::string> {
      if (!store_->check({key})) return std::nullopt;
      const std::vector<std::uint8_t> value = store_->get(key);
      return std::string(value.begin(), value.end());
    });
  }
  std::string compare_set(const std::string& key, const std::string& expected, const std::string& desired) override {
    return ask([&] {
      // Of the class itself: the variant for strings, which a derived class hides, calls it too.
      const std::vector<std::uint8_t> value =
          store_->compareSet(key, std::vector<std::uint8_t>(expected.begin(), expected.end()),
                             std::vector<std::uint8_t>(desired.begin(), desired.end()));
      return std::string(value.begin(), value.end());
    });
  }

 private:
  template <typename Operation>
  auto ask(Operation operation) -> decltype(operation()) {
    try {
      return operation();
    } catch (const std::exception& e) {
      throw Error(ErrorKind::kData, "the workers' store at " + place_ + " does not answer: " + first_line(e.what()),
                  "whoever keeps it (torchrun, or worker 0) has ended; the same command again goes on");
    }
  }

  std::string place_;
  c10::intrusive_ptr<c10d::Store> store_;
};

}  // namespace

std::unique_ptr<SharedStore> connect_store(const StoreAddress& address, double patience_s) {
  static std::once_flag quiet;  // a lost connection is our error, without c10d's stack traces
  std::call_once(quiet, [] { FLAGS_caffe2_log_level = c10::GLOG_FATAL; });
  const std::string place = address.host + ":" + std::to_string(address.port);
  c10d::TCPStoreOptions options;
  options.port = address.port;
  options.isServer = address.serve;
  options.waitWorkers = false;
  options.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * patience_s));
  try {
    auto store = c10::make_intrusive<c10d::TCPStore>(address.host, options);
    return std::make_unique<TcpStore>(place, c10::make_intrusive<c10d::PrefixStore>(address.prefix, std::move(store)));
  } catch (const std::exception& e) {
    throw Error(ErrorKind::kConfig,
                std::string(address.serve ? "cannot keep" : "cannot reach") + " the workers' store at " + place + ": " +
                    first_line(e.what()),
                "MASTER_ADDR and MASTER_PORT name it; torchrun sets them. Alone: unset RANK and WORLD_SIZE");
  }
}

}  // namespace lmbits
