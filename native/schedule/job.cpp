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

void Job::keep(const Run& run, std::size_t row, const std::vector<OutputSpec>& specs,
               const std::vector<const std::byte*>& given) {
  const Sequence& sequence = *run.sequences[row];
  outputs.resize(specs.size());
  for (std::size_t index = 0; index < specs.size(); ++index) {
    const auto [per_step, num_bytes] = specs[index];
    auto& kept = outputs[index];
    auto size = static_cast<long>(num_bytes);
    kept.resize(num_bytes * (per_step ? static_cast<std::size_t>(num_cells) : sequences.size()));
    long from = static_cast<long>(row) * (per_step ? run.num_steps : 1);
    long to = per_step ? sequence.start + sequence.position : sequence.row;
    long count = per_step ? run.counts[row] : 1;
    std::copy_n(given[index] + from * size, count * size, kept.begin() + to * size);
  }
}

}  // namespace seqserve
