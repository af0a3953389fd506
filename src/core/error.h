// The one exception type the library throws for anything a user can cause or fix.
#pragma once
#include <stdexcept>
#include <string>

namespace lmbits {

enum class ErrorKind {  // the value is the program's exit code
  kUsage = 2,
  kConfig = 3,
  kData = 4,
  kModel = 5,
  kDevice = 6,
  kUnsupported = 7,
  kOutOfMemory = 8,
};

// Exit codes that are no errors: finished, but documents or models failed; stopped by the user; a gate that closed.
inline constexpr int kExitRegression = 9;
inline constexpr int kExitSomeFailed = 10;
inline constexpr int kExitInterrupted = 130;

class Error : public std::runtime_error {
 public:
  // `what` names what was wrong with both values and where; `hint` says what to do about it (may be empty).
  Error(ErrorKind kind, const std::string& what, std::string hint = {});
  ~Error() override;  // out of line: one typeinfo for all libraries

  ErrorKind kind() const { return kind_; }
  const std::string& hint() const { return hint_; }

 private:
  ErrorKind kind_;
  std::string hint_;
};

// For our own bugs, never for a user's mistake: throws std::logic_error naming the condition and its place.
#define LMBITS_CHECK(condition)                                                                             \
  do {                                                                                                      \
    if (!(condition))                                                                                       \
      throw std::logic_error(std::string("lmbits bug: " #condition " does not hold at ") + __FILE__ + ":" + \
                             std::to_string(__LINE__));                                                     \
  } while (false)

}  // namespace lmbits
