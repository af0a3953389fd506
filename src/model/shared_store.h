// Keys and values that the workers of a job share: what torchrun's agent, or the first worker, keeps for all of them.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace lmbits {

struct StoreAddress {
  std::string host;
  std::uint16_t port = 0;
  bool serve = false;  // this process keeps the store; others find it at the address
  std::string prefix;  // of every key: two jobs, or two starts of one, never meet
};

// Every operation is atomic, may be called from any thread, and throws Error(kData) where the store does not answer.
class SharedStore {
 public:
  virtual ~SharedStore() = default;
  // The sum of all that was added, `n` included.
  virtual std::int64_t add(const std::string& key, std::int64_t n) = 0;
  virtual void set(const std::string& key, const std::string& value) = 0;
  virtual std::optional<std::string> get(const std::string& key) = 0;  // nullopt: not there; never waits for it
  // Sets `key` to `desired` where it holds `expected` (empty: nothing yet); what it holds afterwards.
  virtual std::string compare_set(const std::string& key, const std::string& expected, const std::string& desired) = 0;
};

// c10d's TCPStore. Throws Error(kConfig) where nobody answers at the address within `patience_s`.
std::unique_ptr<SharedStore> connect_store(const StoreAddress& address, double patience_s);

}  // namespace lmbits
