// A device on the CPU that behaves as badly as a GPU may: copies happen late, memory runs out, and it can be lost.
#pragma once
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels/nll_row.h"
#include "src/model/device.h"

namespace lmbits::testing {

// What a test does to the devices and sees of them; outlives them.
struct FakeMachine {
  std::int64_t most_logits = std::numeric_limits<std::int64_t>::max();     // of one product; more is out of memory
  std::int64_t most_positions = std::numeric_limits<std::int64_t>::max();  // of one forward pass
  std::atomic<int> lost_after{std::numeric_limits<int>::max()};            // kernels until cuda:0 is lost
  bool copies_late = true;
  bool waits = true;     // a mutant: synchronize does nothing
  bool captures = true;  // false: as a forward pass that waits for the device
  bool replays = true;   // a mutant: a graph does nothing
  std::atomic<int> n_captured{0}, n_replayed{0};
  std::atomic<int> n_kernels{0}, n_released{0}, n_out_of_memory{0};
};

class FakeReplay final : public Replay {
 public:
  FakeReplay(FakeMachine& machine, std::function<void()> work) : machine_(machine), work_(std::move(work)) {}
  void run() override {
    ++machine_.n_replayed;
    if (machine_.replays) work_();
  }

 private:
  FakeMachine& machine_;
  std::function<void()> work_;
};

class FakeDevice final : public Device {
 public:
  FakeDevice(FakeMachine& machine, int index) : machine_(machine), index_(index) {}

  std::string name() const override { return "cuda:" + std::to_string(index_); }
  std::string description() const override { return "a fake"; }
  at::Device place() const override { return at::kCPU; }

  void run(std::size_t stream, const std::function<void()>& work) override {
    Stream& here = streams_.at(stream);
    if (here.busy.exchange(true)) throw std::logic_error("two threads on one stream");
    current() = &here;
    try {
      work();
    } catch (...) {
      current() = nullptr;
      here.busy = false;
      throw;
    }
    current() = nullptr;
    here.busy = false;
  }

  // Copies home happen here and no earlier.
  void synchronize(std::size_t stream) override {
    if (!machine_.waits) return;
    flush(streams_.at(stream));
  }

  at::Tensor pinned(std::int64_t n_elements, at::ScalarType type) override {
    return at::empty({n_elements}, type).fill_(-1);
  }

  at::Tensor to_device(const at::Tensor& pinned) override {
    check(machine_.most_positions, pinned.scalar_type() == at::kLong ? pinned.numel() : 0);
    return pinned.clone();
  }
  void to_host(const at::Tensor& from, const at::Tensor& pinned) override {
    if (!machine_.copies_late) {
      pinned.copy_(from);
      return;
    }
    pinned.fill_(-1);
    stream().pending.push_back([from, pinned] { pinned.copy_(from); });
  }

  at::Tensor multiply(const at::Tensor& h, const at::Tensor& weight) override {
    check(machine_.most_logits, h.size(0) * weight.size(0));
    return at::mm(h.to(at::kFloat), weight.to(at::kFloat).t());
  }

  std::unique_ptr<Replay> capture(const std::function<void()>& work) override {
    stream();
    if (!machine_.captures) throw std::runtime_error("operation not permitted when stream is capturing");
    work();  // a GPU would only take notes
    ++machine_.n_captured;
    return std::make_unique<FakeReplay>(machine_, work);
  }

  void nll_tile_init(kernels::NllRowState* state, std::int64_t n_rows) override {
    kernel();
    for (std::int64_t i = 0; i < n_rows; ++i) {
      state[i] = {kernels::minus_infinity(), 0.0F, kernels::not_a_number(), 0.0F};
    }
  }

  void nll_tile_update(const kernels::NllRows& tile, kernels::NllRowState* state) override {
    kernel();
    for (std::int64_t i = 0; i < tile.n_rows; ++i) {
      kernels::NllStateReference s{-std::numeric_limits<double>::infinity(), 0.0,
                                   std::numeric_limits<double>::quiet_NaN()};
      kernels::NllRows row = tile;
      row.n_rows = 1;
      row.targets += i;
      row.logits =
          static_cast<const char*>(tile.logits) + i * tile.stride * (tile.type == kernels::LogitType::kFloat32 ? 4 : 2);
      kernels::nll_tile_update_reference(row, &s);
      const kernels::RowSum all = kernels::row_merge<false>(
          {state[i].max, state[i].sum, 0.0F}, {static_cast<float>(s.max), static_cast<float>(s.sum), 0.0F});
      const bool seen = s.target == s.target;
      state[i] = {all.max, all.sum, seen ? static_cast<float>(s.target / 1.4426950408889634) : state[i].target, 0.0F};
    }
  }

  void nll_merge_segsum(const kernels::NllMerge& in, float* bits, kernels::NllSum* sums, std::uint32_t*) override {
    kernel();
    for (std::int64_t i = 0; i < in.n_rows; ++i) {
      const kernels::NllRowState& s = in.states[i];
      bits[i] = kernels::row_bits({s.max, s.sum, 0.0F}, s.target);
    }
    kernels::segment_sums_reference(bits, in.begins, in.n_segments, sums);
  }

  void release_cache() override { ++machine_.n_released; }
  std::int64_t peak_bytes() const override { return 12345; }
  std::optional<std::string> problem() const override {
    return lost_ ? std::optional<std::string>("fell off the bus") : std::nullopt;
  }

 private:
  struct Stream {
    std::vector<std::function<void()>> pending;
    std::atomic<bool> busy{false};
  };

  static Stream*& current() {
    thread_local Stream* here = nullptr;
    return here;
  }
  static Stream& stream() {
    if (current() == nullptr) throw std::logic_error("work is put on no stream");
    return *current();
  }
  static void flush(Stream& stream) {
    for (const auto& copy : stream.pending) copy();
    stream.pending.clear();
  }

  void check(std::int64_t most, std::int64_t wanted) {
    if (wanted <= most) return;
    ++machine_.n_out_of_memory;
    TORCH_CHECK_WITH(OutOfMemoryError, false, "a fake device is full");
  }

  void kernel() {
    stream();
    if (++machine_.n_kernels > machine_.lost_after && index_ == 0) lost_ = true;
    if (lost_) throw std::runtime_error("unspecified launch failure");
  }

  FakeMachine& machine_;
  int index_;
  std::atomic<bool> lost_{false};
  std::vector<Stream> streams_ = std::vector<Stream>(kDeviceStreams);
};

}  // namespace lmbits::testing
