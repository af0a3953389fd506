// How long work tells what it has done. The library reports; whoever started the work decides what to show.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace lmbits {

struct Work {
  std::string label;                  // "m-sp-4000 on prose"
  std::string unit;                   // of the counts below: "tok", "B"
  std::optional<std::int64_t> total;  // nullopt: unknown
  std::int64_t already_done = 0;      // by an earlier run: counts as done, but says nothing about the rate
};

class Progress {
 public:
  virtual ~Progress() = default;
  virtual void begin(const Work& work) = 0;        // ends the work before it
  virtual void advance(std::int64_t n_units) = 0;  // thread-safe; cheap enough for every document or batch
  virtual void skip(std::int64_t) {}               // more that an earlier run did, found on the way; thread-safe
  virtual void end() = 0;
};

// For those who do not want to know.
class NoProgress final : public Progress {
 public:
  void begin(const Work&) override {}
  void advance(std::int64_t) override {}
  void end() override {}
};

}  // namespace lmbits
