// Observations counted in plain numbers; Python brings them to Prometheus's metrics now and then.
//
// Each tally has one writer at a time (the event loop, or whoever holds the engine's lock) and may
// be read at any moment by any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace seqserve {

// A sum that is only ever added to.
class Total {
 public:
  void add(double amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0.0};
};

// Counts by bucket. `bounds`: the buckets' upper bounds, ascending, without the infinite one.
class Distribution {
 public:
  explicit Distribution(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  void observe(double value) {
    auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    auto& count = counts_[static_cast<std::size_t>(bucket)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    total_.add(value);
  }

  std::vector<std::uint64_t> counts() const {
    std::vector<std::uint64_t> read;
    for (const auto& count : counts_) read.push_back(count.load(std::memory_order_relaxed));
    return read;
  }
  double total() const { return total_.value(); }

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> counts_;
  Total total_;
};

// What one model's scheduler counts, under the engine's lock.
struct RunTally {
  RunTally(const std::vector<double>& seconds, const std::vector<double>& rows)
      : queue_s(seconds), compute_s(seconds), rows(rows) {}

  Distribution queue_s, compute_s, rows;
  Total cpu_s, predicted_s, misprediction_s, real_cells, padded_cells;
};

}  // namespace seqserve
