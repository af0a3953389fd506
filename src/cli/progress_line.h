// Progress as people see it: one line that is redrawn on a terminal, a plain line now and then elsewhere.
#pragma once
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "src/cli/terminal.h"
#include "src/core/progress.h"

namespace lmbits::cli {

// Units a second over the last `window_s` seconds: an ETA that believes what happens now, not the average since the
// start. Samples within a twentieth of the window of each other are merged, so memory is O(1).
class RateWindow {
 public:
  explicit RateWindow(double window_s) : window_s_(window_s) {}
  void add(double now_s, std::int64_t n_done);  // both never decrease
  std::optional<double> per_second() const;     // nullopt before there are two moments to compare

 private:
  struct Sample {
    double at_s;
    std::int64_t n_done;
  };
  double window_s_;
  std::deque<Sample> samples_;
};

// "label  [=====>    ]  42 %  1.23 M tok/s  3 min 12 s left". Never wider than `width`: the bar goes first, then the
// label's end. No time is promised while the total or the rate is unknown.
std::string progress_text(const Work& work, std::int64_t n_done, std::optional<double> per_second, std::size_t width);

// On a terminal redraws at most ten times a second, elsewhere prints a line at most every ten seconds; both only when
// work advances. Thread-safe.
class ProgressLine final : public Progress {
 public:
  using Clock = std::function<double()>;  // seconds from any fixed moment
  ProgressLine(std::FILE* stream, const Terminal& terminal, Clock clock);
  explicit ProgressLine(std::FILE* stream);  // asks the stream, and takes the system's monotonic clock
  ~ProgressLine() override;

  void begin(const Work& work) override;
  void advance(std::int64_t n_units) override;
  void skip(std::int64_t n_units) override;
  void end() override;

 private:
  void draw();
  void finish();

  std::FILE* stream_;
  Terminal terminal_;
  Clock clock_;
  std::mutex mutex_;
  std::optional<Work> work_;
  std::int64_t n_done_ = 0;
  double began_s_ = 0.0;
  double drawn_s_ = 0.0;
  RateWindow rate_;
};

// What --quiet asks for, or a ProgressLine on standard error.
std::unique_ptr<Progress> make_progress(bool quiet);

}  // namespace lmbits::cli
