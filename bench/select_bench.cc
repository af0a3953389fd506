// How much faster is `lmbits select` than a straightforward ZIP in Python, and how does a candidate's cost grow with the
// chosen set?
//
// usage: select_bench PROGRAM SOURCE_DIR TEXT... [--csv FILE] [--svg FILE]
//
// The pool: 2,000 samples of 1 KiB of the TEXTs (2 MB at least), in random order. One thread, CPU seconds of the whole
// process, medians of three interleaved rounds; choices are compared before anything is timed. See README.md.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "src/core/file.h"
#include "src/core/json.h"
#include "src/corpus/utf8.h"
#include "src/report/plot.h"
#include "src/selection/cost_model.h"
#include "src/selection/deflate_size.h"
#include "src/stats/random.h"

extern char** environ;

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSamples = 2000, kSampleBytes = 1024;
const std::vector<std::string> kSettings = {"--budget", "100", "--k1", "500", "--k2", "50", "--k3", "20"};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double seconds(const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); }

// Runs a command with its output in a file; its CPU seconds.
double run(std::vector<std::string> command, const fs::path& output) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  pid_t process = 0;
  const int failed = posix_spawnp(&process, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  rusage usage{};
  if (failed != 0 || wait4(process, &status, 0, &usage) < 0 || status != 0)
    throw std::runtime_error("failed: " + command[0]);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<std::string> pool_of(const std::vector<std::string>& paths) {
  std::string text;
  for (const std::string& path : paths) text += read_file(path);
  std::vector<std::string> pool;
  for (std::size_t at = 0; at + kSampleBytes <= text.size(); at += kSampleBytes) {
    const std::string piece = text.substr(at, kSampleBytes);
    if (valid_utf8_prefix(piece) == piece.size()) pool.push_back(piece);
  }
  if (pool.size() < kSamples)
    throw std::runtime_error("the texts hold only " + std::to_string(pool.size()) + " samples");
  Random random(1, 0);
  for (std::size_t i = 0; i + 1 < pool.size(); ++i)
    std::swap(pool[i], pool[i + random.below(static_cast<std::uint32_t>(pool.size() - i))]);
  return pool;
}

// The places of the chosen samples, as one line each.
std::string ours(const fs::path& choices) {
  std::istringstream lines(read_file(choices));
  std::string text;
  for (std::string line; std::getline(lines, line);)
    text += std::to_string(Json::parse(line)["record"].get<int>()) + "\n";
  return text;
}

void end_to_end(const std::string& program, const fs::path& source, const fs::path& folder) {
  const fs::path pool = folder / "pool.jsonl";
  std::vector<double> python_s, fast_s, zlib_s;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::string> python = {"python3", "-B", (source / "scripts/zip_reference.py").string(), pool.string()};
    python.insert(python.end(), kSettings.begin(), kSettings.end());
    python_s.push_back(run(python, folder / "expected"));
    for (const bool by_zlib : {false, true}) {
      for (const char* name : {"out.jsonl", "out.jsonl.manifest.json"}) fs::remove(folder / name);
      std::vector<std::string> command = {
          program,   "select",    pool.string(), "-o",          (folder / "out.jsonl").string(),
          "--quiet", "--threads", "1",           "--algorithm", "zip-reference"};
      command.insert(command.end(), kSettings.begin(), kSettings.end());
      if (by_zlib) command.push_back("--by-zlib");
      (by_zlib ? zlib_s : fast_s).push_back(run(command, folder / "printed"));
      if (ours(folder / "out.jsonl.choices.jsonl") != read_file(folder / "expected"))
        throw std::runtime_error("the choices differ");
    }
  }
  std::printf("2,000 samples of 1 KiB, K 500/50/20, 100 chosen: the same choices; CPU s of the process, median of 3\n");
  std::printf("  Python and zlib, every set anew  %8.2f\n", median(python_s));
  std::printf("  lmbits, copies of zlib's state   %8.2f  %5.1f times faster\n", median(zlib_s),
              median(python_s) / median(zlib_s));
  std::printf("  lmbits                           %8.2f  %5.1f times faster\n", median(fast_s),
              median(python_s) / median(fast_s));
}

// Microseconds a candidate behind the first n_chosen samples, over candidates from the pool's other end.
double microseconds(PrefixSizer& sizer, const std::vector<std::string>& pool) {
  constexpr std::size_t kCandidates = 300;
  std::int64_t sum = 0;
  const double began = cpu_seconds();
  for (std::size_t i = 0; i < kCandidates; ++i) sum += sizer.size_with(pool[pool.size() - 1 - i]);
  const double took = cpu_seconds() - began;
  if (sum == 0) throw std::logic_error("nothing was measured");
  return 1e6 * took / kCandidates;
}

constexpr const char* kPython =
    "import sys, time, zlib\n"
    "text, n = open(sys.argv[1], 'rb').read(), int(sys.argv[2])\n"
    "pool = [text[i : i + 1024].decode() for i in range(0, len(text), 1024)]\n"
    "chosen, candidates = pool[:-8], pool[-8:]\n"
    "def ratio(samples):\n"
    "    raw = str(samples).encode('utf-8')\n"
    "    return len(raw) / len(zlib.compress(raw, 9))\n"
    "began, rounds = time.process_time(), 0\n"
    "while rounds < n:\n"
    "    ratio(chosen + [candidates[rounds % 8]])\n"
    "    rounds += 1\n"
    "print(1e6 * (time.process_time() - began) / n)\n";

struct CandidateCost {
  double chosen_bytes, python_us, copies_us, lmbits_us;
};

std::string csv_of(const std::vector<CandidateCost>& costs) {
  std::string csv = "chosen_bytes,python_us,zlib_copies_us,lmbits_us\n";
  for (const CandidateCost& c : costs) {
    char line[128];
    std::snprintf(line, sizeof line, "%.0f,%.1f,%.1f,%.1f\n", c.chosen_bytes, c.python_us, c.copies_us, c.lmbits_us);
    csv += line;
  }
  return csv;
}

std::string svg_of(const std::vector<CandidateCost>& costs) {
  Plot plot;
  plot.x = {.title = "bytes chosen so far", .scale = Scale::kLog, .notation = Notation::kSi};
  plot.y = {.title = "CPU µs a candidate of 1 KiB", .scale = Scale::kLog};
  const auto add = [&](const char* name, int colour, double CandidateCost::*us) {
    LineSeries line{.name = name, .colour = colour};
    PointSeries points{.colour = colour};
    for (const CandidateCost& c : costs) {
      line.points.push_back({c.chosen_bytes, c.*us});
      points.points.push_back({.at = line.points.back()});
    }
    plot.lines.push_back(line);
    plot.points.push_back(points);
  };
  add("Python and zlib, every set anew", 0, &CandidateCost::python_us);
  add("copies of zlib's state", 1, &CandidateCost::copies_us);
  add("lmbits", 2, &CandidateCost::lmbits_us);
  Drawing drawing(680, 440, "What a candidate costs");
  draw_plot(drawing, {0, 0, 680, 440}, plot);
  return drawing.svg(Look::kAdaptive);
}

std::vector<CandidateCost> curve(const std::vector<std::string>& pool, const fs::path& folder) {
  std::printf("\nCPU us a candidate of 1 KiB behind a chosen set\n%12s %14s %14s %14s %8s\n", "chosen bytes",
              "Python, anew", "zlib's copies", "lmbits", "ratio");
  std::vector<CandidateCost> costs;
  const auto fast = make_deflate_sizer(9), copies = make_zlib_sizer(9);
  std::string chosen;
  for (std::size_t n = 1; n <= 4096; n *= 2) {
    while (chosen.size() < n * kSampleBytes) {
      const std::string& sample = pool[chosen.size() / kSampleBytes % (pool.size() - 400)];
      chosen += sample;
      fast->append(sample);
      copies->append(sample);
    }
    std::string candidates;
    for (std::size_t i = 1; i <= 8; ++i) candidates += pool[pool.size() - i];
    write_file_atomically(folder / "prefix", chosen + candidates);
    const std::size_t rounds = std::max<std::size_t>(2, 400 / n);
    run({"python3", "-c", kPython, (folder / "prefix").string(), std::to_string(rounds)}, folder / "printed");
    const double python_us = std::stod(read_file(folder / "printed")), copies_us = microseconds(*copies, pool),
                 fast_us = microseconds(*fast, pool);
    std::printf("%12zu %14.0f %14.0f %14.0f %8.1f\n", chosen.size(), python_us, copies_us, fast_us,
                python_us / fast_us);
    costs.push_back({static_cast<double>(chosen.size()), python_us, copies_us, fast_us});
  }
  return costs;
}

// Takes `flag` and its value out of the arguments; empty where it is not there.
std::string take_flag(std::vector<std::string>& arguments, const std::string& flag) {
  const auto found = std::find(arguments.begin(), arguments.end(), flag);
  if (found == arguments.end() || found + 1 == arguments.end()) return "";
  const std::string value = *(found + 1);
  arguments.erase(found, found + 2);
  return value;
}

int bench(std::vector<std::string> arguments) {
  const std::string csv = take_flag(arguments, "--csv"), svg = take_flag(arguments, "--svg");
  if (arguments.size() < 3) {
    std::fprintf(stderr, "usage: select_bench PROGRAM SOURCE_DIR TEXT... [--csv FILE] [--svg FILE]\n");
    return 2;
  }
  const auto pool = pool_of({arguments.begin() + 2, arguments.end()});
  const fs::path folder = fs::temp_directory_path() / ("lmbits-select-bench-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::string lines;
  for (std::size_t i = 0; i < kSamples; ++i) lines += Json{{"text", pool[i]}}.dump() + "\n";
  write_file_atomically(folder / "pool.jsonl", lines);
  end_to_end(arguments[0], arguments[1], folder);
  const std::vector<CandidateCost> costs = curve(pool, folder);
  if (!csv.empty()) write_file_atomically(csv, csv_of(costs));
  if (!svg.empty()) write_file_atomically(svg, svg_of(costs));
  fs::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace lmbits

int main(int argc, char** argv) {
  try {
    return lmbits::bench({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "select_bench: %s\n", error.what());
    return 1;
  }
}
