#include "schedule/cost.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace seqserve {

namespace {

constexpr double kScaleRate = 0.05, kRegionRate = 0.02;  // weight of one run
constexpr long kRefreshRuns = 64;
constexpr long kCellSteps = 32;  // of the runs that a cell's cost is taken from

std::size_t region_of(long steps) { return std::bit_width(static_cast<unsigned long>(steps)); }

}  // namespace

CostTable::CostTable(std::vector<std::vector<double>> base, long stride, long max_steps)
    : base_(std::move(base)), seconds_(base_), stride_(stride), max_steps_(max_steps) {
  region_.assign(base_.size(), std::vector<double>(region_of(max_steps) + 2, 1.0));
  learned_ = region_;
  refresh();
}

double CostTable::predict(long rows, long steps) const {
  auto row = row_of(rows);
  return scale_ * learned_[row][region_of(steps)] * seconds_[row][point_of(steps)];
}

long CostTable::longest(long rows, double max_s) const {
  const auto& row = seconds_[row_of(rows)];
  auto behind = std::upper_bound(row.begin(), row.end(), max_s / scale_) - row.begin();
  return std::clamp((behind - 1) * stride_, 1L, max_steps_);
}

void CostTable::observe(long rows, long steps, double cpu_s) {
  double ratio = std::clamp(cpu_s / predict(rows, steps), 0.25, 4.0);
  scale_ *= std::pow(ratio, kScaleRate);
  learned_[row_of(rows)][region_of(steps)] *= std::pow(ratio, kRegionRate);
  if (++num_runs_ % kRefreshRuns == 0) refresh();
  cell_s_.store(best_cell_s_ * scale_, std::memory_order_relaxed);
}

// Make the table of what was fitted and what was learned since.
void CostTable::refresh() {
  best_cell_s_ = std::numeric_limits<double>::infinity();
  long steps = std::min(max_steps_, kCellSteps);
  for (std::size_t row = 0; row < base_.size(); ++row) {
    for (std::size_t region = 0; region < region_[row].size(); ++region) {
      double factor = region_[row][region] * learned_[row][region];
      region_[row][region] = std::clamp(factor, 0.25, 4.0);
      learned_[row][region] = 1.0;
    }
    double most = 0.0;  // more steps never cost less
    for (std::size_t point = 0; point < base_[row].size(); ++point) {
      long at = std::max(static_cast<long>(point) * stride_, 1L);
      most = std::max(most, base_[row][point] * region_[row][region_of(at)]);
      seconds_[row][point] = most;
    }
    double cell_s = seconds_[row][point_of(steps)] /
                    static_cast<double>((row + 1) * static_cast<std::size_t>(steps));
    best_cell_s_ = std::min(best_cell_s_, cell_s);
  }
  cell_s_.store(best_cell_s_ * scale_, std::memory_order_relaxed);
}

}  // namespace seqserve
