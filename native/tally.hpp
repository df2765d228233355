// Observations counted in plain numbers; Python brings them to Prometheus's metrics now and then.
//
// Each tally has one writer at a time (the event loop, or whoever holds the engine's lock) and may
// be read at any moment by any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
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

// One observation that can be looked into: of the request that this trace tells of.
struct Exemplar {
  std::string trace_id;
  double value;
  double at_s;  // since 1970
};

// Counts by bucket. `bounds`: the buckets' upper bounds, ascending, without the infinite one.
class Distribution {
 public:
  explicit Distribution(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  void observe(double value) {
    auto& count = counts_[bucket_of(value)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    total_.add(value);
  }
  // The same, of a request that is traced, unless `trace_id` is empty.
  void observe(double value, const std::string& trace_id) {
    observe(value);
    if (trace_id.empty()) return;
    auto now = std::chrono::system_clock::now().time_since_epoch();
    double at_s = std::chrono::duration<double>(now).count();
    std::lock_guard held(lock_);
    exemplars_.insert_or_assign(bucket_of(value), Exemplar{trace_id, value, at_s});
  }
  // Of each bucket the last since this was asked before, if there was one.
  std::map<std::size_t, Exemplar> take_exemplars() {
    std::lock_guard held(lock_);
    return std::exchange(exemplars_, {});
  }

  std::vector<std::uint64_t> counts() const {
    std::vector<std::uint64_t> read;
    for (const auto& count : counts_) read.push_back(count.load(std::memory_order_relaxed));
    return read;
  }
  double total() const { return total_.value(); }

 private:
  std::size_t bucket_of(double value) const {
    auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    return static_cast<std::size_t>(bound - bounds_.begin());
  }

  std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> counts_;
  Total total_;
  std::mutex lock_;
  std::map<std::size_t, Exemplar> exemplars_;
};

// How often something happened, and how long it took in all.
class Timing {
 public:
  void add(double seconds) {
    count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    total_s_.add(seconds);
  }
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  double total_s() const { return total_s_.value(); }

 private:
  std::atomic<std::uint64_t> count_{0};
  Total total_s_;
};

// How requests ended, and what those that were answered took, stage by stage; counted on the event
// loop.
struct StageTally {
  // An answered one: the moments in which it began, was submitted, ran first, had its results and
  // was answered.
  void observe(double begun_s, double submitted_s, double ran_s, double done_s, double answered_s,
               long num_rows) {
    success.add(answered_s - begun_s);
    input.add(submitted_s - begun_s);
    queue.add(ran_s - submitted_s);
    infer.add(done_s - ran_s);
    output.add(answered_s - done_s);
    rows.add(static_cast<double>(num_rows));
    last_s.store(answered_s, std::memory_order_relaxed);
  }

  Timing success, fail;
  Timing input, queue, infer, output;
  Timing cache_hit, cache_miss;  // those that were looked up
  Total rows;                    // of those that ran
  std::atomic<double> last_s{0.0};
};

// What the runs of each size took.
class BatchTally {
 public:
  struct Stages {
    Timing input, infer, output;
  };

  void add(long num_rows, double input_s, double infer_s, double output_s) {
    std::lock_guard held(lock_);
    Stages& stages = by_rows_[num_rows];
    stages.input.add(input_s);
    stages.infer.add(infer_s);
    stages.output.add(output_s);
  }
  // The sizes that there were; what is counted of one is never dropped.
  std::vector<long> sizes() const {
    std::lock_guard held(lock_);
    std::vector<long> sizes;
    for (const auto& [num_rows, stages] : by_rows_) sizes.push_back(num_rows);
    return sizes;
  }
  const Stages& of(long num_rows) const {
    std::lock_guard held(lock_);
    return by_rows_.at(num_rows);
  }

 private:
  mutable std::mutex lock_;
  std::map<long, Stages> by_rows_;
};

// What one model's scheduler counts, under the engine's lock; but `stages`.
struct RunTally {
  RunTally(const std::vector<double>& seconds, const std::vector<double>& rows)
      : queue_s(seconds), compute_s(seconds), rows(rows) {}

  Distribution queue_s, compute_s, rows;
  Total cpu_s, predicted_s, misprediction_s, real_cells, padded_cells;
  BatchTally batches;
  StageTally stages;
};

}  // namespace seqserve
