// How long a run takes: a table of seconds by rows and steps, corrected by every run.
//
// Python measures a model and fits the table (service/schedulers/cost.py); this is what the
// schedulers ask, and what learns.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

namespace seqserve {

class CostTable {
 public:
  // base: seconds, (rows, points); row 0 is of one sequence, point i of i * stride steps.
  CostTable(std::vector<std::vector<double>> base, long stride, long max_steps);

  // Seconds of one run.
  double predict(long rows, long steps) const;
  // The most steps that so many rows can run in `max_s`; at least 1.
  long longest(long rows, double max_s) const;
  // Seconds of one step of a sequence, batched as well as it can be; may be asked by any thread.
  double cell_s() const { return cell_s_.load(std::memory_order_relaxed); }
  // Learn from a run.
  void observe(long rows, long steps, double cpu_s);

  long max_rows() const { return static_cast<long>(base_.size()); }
  long max_steps() const { return max_steps_; }

 private:
  // Batches of more rows than it knows count as the largest.
  std::size_t row_of(long rows) const {
    return static_cast<std::size_t>(std::min(rows, max_rows()) - 1);
  }
  std::size_t point_of(long steps) const {
    return static_cast<std::size_t>((steps + stride_ - 1) / stride_);
  }
  void refresh();

  std::vector<std::vector<double>> base_, seconds_;
  std::vector<std::vector<double>> region_, learned_;  // factors, by rows and the steps' bit length
  long stride_, max_steps_;
  double scale_ = 1.0;
  double best_cell_s_ = 0.0;  // by the table, without the scale
  long num_runs_ = 0;
  std::atomic<double> cell_s_{0.0};
};

}  // namespace seqserve
