#include "schedule/job.hpp"

#include <algorithm>

#include "clock.hpp"
#include "schedule/run.hpp"

namespace seqserve {

Job::Job(Values values, const std::vector<long>& lengths, long priority, double timeout_s)
    : priority(std::clamp(priority, kHighPriority, kLowPriority)),
      submitted_s(now_s()),
      deadline_s(submitted_s + timeout_s),
      due_s(submitted_s),
      values(std::move(values)),
      unanswered_(lengths.size()) {
  sequences.reserve(lengths.size());
  for (long length : lengths) {
    sequences.push_back({this, static_cast<long>(sequences.size()), num_cells, length, length});
    num_cells += length;
  }
}

Job::Job(const std::vector<long>& turns, const std::vector<long>& rows, long priority,
         double timeout_s)
    : Job(nullptr, turns, priority, timeout_s) {
  num_cells = 0;
  for (auto& sequence : sequences) {
    sequence.rows = rows.at(static_cast<std::size_t>(sequence.row));
    num_cells += sequence.length * sequence.rows;
  }
}

void Job::expect(double seconds) {
  work_s = seconds;
  due_s = submitted_s + kPatience[static_cast<std::size_t>(priority - kHighPriority)] * seconds;
}

long Job::start_of(const Sequence& sequence, const OutputSpec& spec) const {
  if (!spec.per_step) return sequence.row;
  if (spec.factor == 1 && spec.offset == 0 && spec.stride == 1) return sequence.start;
  long start = 0;
  for (long row = 0; row < sequence.row; ++row) {
    start += spec.steps(sequences[static_cast<std::size_t>(row)].length);
  }
  return start;
}

void Job::keep(const Run& run, std::size_t row, const std::vector<OutputSpec>& specs,
               const std::vector<const std::byte*>& given) {
  const Sequence& sequence = *run.sequences[row];
  outputs.resize(specs.size());
  for (std::size_t index = 0; index < specs.size(); ++index) {
    const OutputSpec& spec = specs[index];
    auto& kept = outputs[index];
    auto size = static_cast<long>(spec.num_bytes);
    if (kept.empty()) {
      const Sequence& last = sequences.back();
      kept.resize(
          static_cast<std::size_t>((start_of(last, spec) + spec.steps(last.length)) * size));
    }
    long from = static_cast<long>(row) * spec.steps(run.num_steps);
    long to = start_of(sequence, spec) + (spec.per_step ? sequence.position : 0);
    long count = spec.steps(run.counts[row]);
    std::copy_n(given[index] + from * size, count * size, kept.begin() + to * size);
  }
}

}  // namespace seqserve
