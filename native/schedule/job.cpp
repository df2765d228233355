#include "schedule/job.hpp"

#include <algorithm>

#include "clock.hpp"

namespace seqserve {

Job::Job(std::vector<float> values, const std::vector<long>& lengths, long num_features,
         long priority, double timeout_s)
    : priority(std::clamp(priority, kHighPriority, kLowPriority)),
      submitted_s(now_s()),
      deadline_s(submitted_s + timeout_s),
      due_s(submitted_s),
      values_(std::move(values)),
      unanswered_(lengths.size()) {
  sequences.reserve(lengths.size());
  const float* inputs = values_.data();
  for (long length : lengths) {
    sequences.push_back({this, static_cast<long>(sequences.size()), inputs, length, length});
    inputs += length * num_features;
    num_cells += length;
  }
}

void Job::expect(double seconds) {
  work_s = seconds;
  due_s = submitted_s + kPatience[static_cast<std::size_t>(priority - kHighPriority)] * seconds;
}

bool Job::answer(const Sequence& sequence, const float* row_logits, long num_classes,
                 const float* row_weights) {
  logits.resize(sequences.size() * static_cast<std::size_t>(num_classes));
  std::copy_n(row_logits, num_classes, logits.begin() + sequence.row * num_classes);
  if (row_weights != nullptr) {
    weights.resize(sequences.size());
    weights[static_cast<std::size_t>(sequence.row)].assign(row_weights,
                                                           row_weights + sequence.length);
  }
  return --unanswered_ == 0;
}

}  // namespace seqserve
