#include "src/cli/progress_line.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "src/report/table.h"

namespace lmbits::cli {
namespace {

constexpr double kWindowSeconds = 30.0;
constexpr double kTerminalPeriodSeconds = 0.1;
constexpr double kPlainPeriodSeconds = 10.0;
constexpr std::size_t kMaxBarCells = 30;
constexpr std::size_t kMinBarCells = 8;

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string bar(double share, std::size_t n_cells) {
  const auto n_full = static_cast<std::size_t>(share * static_cast<double>(n_cells));
  std::string cells(n_full, '=');
  if (n_full < n_cells) cells += '>';
  cells.resize(n_cells, ' ');
  return "[" + cells + "]";
}

// Cuts whole code points off the end until the text fits.
std::string shortened(std::string text, std::size_t width) {
  while (display_width(text) > width) {
    do {
      text.pop_back();
    } while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80);
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.pop_back();
  }
  return text;
}

std::string facts(const Work& work, std::int64_t n_done, std::optional<double> per_second) {
  std::string text;
  if (work.total && *work.total > 0) {
    // Rounded down: 100 % is said of finished work alone.
    const double share = static_cast<double>(n_done) / static_cast<double>(*work.total);
    text += std::to_string(static_cast<int>(std::floor(100.0 * std::min(share, 1.0)))) + " %";
  } else {
    text += format_si(static_cast<double>(n_done)) + " " + work.unit;
  }
  if (!per_second) return text;
  text += "  " + format_si(*per_second) + " " + work.unit + "/s";
  if (work.total && *per_second > 0.0 && n_done < *work.total)
    text += "  " + format_duration(static_cast<double>(*work.total - n_done) / *per_second) + " left";
  return text;
}

}  // namespace

void RateWindow::add(double now_s, std::int64_t n_done) {
  // The first sample stays as it is until the window has moved past it: the rate needs its far end.
  if (samples_.size() >= 2 && now_s - samples_[samples_.size() - 2].at_s < window_s_ / 20.0) samples_.pop_back();
  samples_.push_back({now_s, n_done});
  while (samples_.size() > 2 && now_s - samples_[1].at_s >= window_s_) samples_.pop_front();
}

std::optional<double> RateWindow::per_second() const {
  if (samples_.size() < 2 || samples_.back().at_s <= samples_.front().at_s) return std::nullopt;
  return static_cast<double>(samples_.back().n_done - samples_.front().n_done) /
         (samples_.back().at_s - samples_.front().at_s);
}

std::string progress_text(const Work& work, std::int64_t n_done, std::optional<double> per_second, std::size_t width) {
  const std::string label = printable(work.label);
  const std::string tail = facts(work, n_done, per_second);
  const std::size_t used = display_width(label) + 2 + tail.size();
  const bool has_share = work.total && *work.total > 0;
  if (has_share && used + 4 + kMinBarCells <= width) {
    const double share = std::min(1.0, static_cast<double>(n_done) / static_cast<double>(*work.total));
    return label + "  " + bar(share, std::min(kMaxBarCells, width - used - 4)) + "  " + tail;
  }
  if (tail.size() + 2 >= width) return shortened(tail, width);
  return shortened(label, width - tail.size() - 2) + "  " + tail;
}

ProgressLine::ProgressLine(std::FILE* stream, const Terminal& terminal, Clock clock)
    : stream_(stream), terminal_(terminal), clock_(std::move(clock)), rate_(kWindowSeconds) {}

ProgressLine::ProgressLine(std::FILE* stream) : ProgressLine(stream, terminal_of(stream), monotonic_seconds) {}

ProgressLine::~ProgressLine() { finish(); }

void ProgressLine::begin(const Work& work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  finish();
  work_ = work;
  n_done_ = work.already_done;
  began_s_ = drawn_s_ = clock_();
  rate_ = RateWindow(kWindowSeconds);
  rate_.add(began_s_, 0);
  if (terminal_.is_terminal) draw();
}

void ProgressLine::advance(std::int64_t n_units) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!work_) return;
  n_done_ += n_units;
  const double now_s = clock_();
  if (now_s - drawn_s_ < (terminal_.is_terminal ? kTerminalPeriodSeconds : kPlainPeriodSeconds)) return;
  drawn_s_ = now_s;
  rate_.add(now_s, n_done_ - work_->already_done);
  draw();
}

void ProgressLine::skip(std::int64_t n_units) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!work_) return;
  work_->already_done += n_units;
  n_done_ += n_units;
}

void ProgressLine::end() {
  const std::lock_guard<std::mutex> lock(mutex_);
  finish();
}

void ProgressLine::draw() {
  if (terminal_.is_terminal) {
    // One cell is left free: a character in the last one makes some terminals wrap. ESC [ K clears what was longer.
    const std::string text = progress_text(*work_, n_done_, rate_.per_second(), terminal_.width - 1);
    std::fprintf(stream_, "\r%s\x1b[K", text.c_str());
  } else {
    std::fprintf(stream_, "%s\n", progress_text(*work_, n_done_, rate_.per_second(), terminal_.width).c_str());
  }
  std::fflush(stream_);
}

// What is left of finished work is the report, not its progress: on a terminal the line goes.
void ProgressLine::finish() {
  if (work_ && terminal_.is_terminal) {
    std::fprintf(stream_, "\r\x1b[K");
    std::fflush(stream_);
  }
  work_.reset();
}

std::unique_ptr<Progress> make_progress(bool quiet) {
  if (quiet) return std::make_unique<NoProgress>();
  return std::make_unique<ProgressLine>(stderr);
}

}  // namespace lmbits::cli
