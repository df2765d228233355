#include "schedule/sequences.hpp"

#include <algorithm>

namespace seqserve {

namespace {

double due_s(const std::vector<SequencePtr>& batch) {
  double first = kNever;
  for (const auto& sequence : batch) first = std::min(first, sequence->job->due_s);
  return first;
}

}  // namespace

void SequenceScheduler::enqueue(const JobPtr& job) {
  num_new_ += static_cast<long>(job->sequences.size());
  Scheduler::enqueue(job);
}

void SequenceScheduler::forget(Job& job) {
  Scheduler::forget(job);
  planned_.clear();  // what it left is cut anew
}

// The batch of the sequence that is due first.
RunPtr SequenceScheduler::take() {
  if (pool_.empty()) return nullptr;
  if (planned_.empty() || is_stale()) plan();
  Batch batch = std::move(planned_.back());
  planned_.pop_back();
  long longest = 0;
  for (const auto& sequence : batch) longest = std::max(longest, sequence->left);
  return run_next(std::move(batch), longest);
}

// Enough came to cut better, or something that is due before what is planned.
bool SequenceScheduler::is_stale() const {
  const auto& next = planned_.back();
  return num_new_ >= share() || std::find(next.begin(), next.end(), pool_.front()) == next.end();
}

// Cut those that are due first into batches.
void SequenceScheduler::plan() {
  auto rows = window();
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& one, const auto& other) { return one->left < other->left; });
  std::vector<long> lengths;
  for (const auto& sequence : rows) lengths.push_back(sequence->left);
  planned_.clear();
  auto start = rows.begin();
  for (std::size_t end : cut(lengths)) {
    auto stop = rows.begin() + static_cast<long>(end);
    planned_.emplace_back(start, stop);
    start = stop;
  }
  std::stable_sort(planned_.begin(), planned_.end(),
                   [](const Batch& one, const Batch& other) { return due_s(one) > due_s(other); });
  // two batches may be due at one moment: the one with the very first of the pool comes first
  for (auto batch = planned_.begin(); batch != planned_.end(); ++batch) {
    if (std::find(batch->begin(), batch->end(), pool_.front()) != batch->end()) {
      std::rotate(batch, batch + 1, planned_.end());
      break;
    }
  }
  num_new_ = 0;
}

// best(i) = min over b of best(i - b) + t(b, length(i)): the i shortest, their last b together.
// Left out are batches that pad too much, or take longer than `max_run_ms` though they could be
// smaller.
std::vector<std::size_t> SequenceScheduler::cut(const std::vector<long>& lengths) const {
  auto most = std::min(static_cast<std::size_t>(share()), lengths.size());
  std::vector<double> best(lengths.size() + 1, 0.0);
  std::vector<std::size_t> last(lengths.size() + 1, 0);
  for (std::size_t end = 1; end <= lengths.size(); ++end) {
    long longest = lengths[end - 1];
    best[end] = kNever;
    double real = 0.0;
    for (std::size_t rows = 1; rows <= std::min(most, end); ++rows) {
      real += static_cast<double>(lengths[end - rows]);
      double seconds = cost->predict(static_cast<long>(rows), longest);
      auto padded = static_cast<double>(longest) * static_cast<double>(rows);
      bool allowed = padded <= bounds.max_padding_ratio * real && seconds <= bounds.max_run_s;
      if (rows > 1 && !allowed) continue;
      if (best[end - rows] + seconds < best[end]) {
        best[end] = best[end - rows] + seconds;
        last[end] = rows;
      }
    }
  }
  std::vector<std::size_t> cuts;
  for (std::size_t end = lengths.size(); end > 0; end -= last[end]) cuts.push_back(end);
  std::reverse(cuts.begin(), cuts.end());
  return cuts;
}

}  // namespace seqserve
