#include "schedule/run.hpp"

#include <algorithm>

#include "clock.hpp"

namespace seqserve {

Run::Run(std::vector<SequencePtr> taken, long max_steps) : sequences(std::move(taken)) {
  counts.reserve(sequences.size());
  for (const auto& sequence : sequences) {
    long count = std::min(max_steps, sequence->left);
    counts.push_back(count);
    num_steps = std::max(num_steps, count);
    num_real += count;
  }
}

void Run::begin() {
  begun_s = now_s();
  begun_cpu_s_ = thread_cpu_s();
}

void Run::be_prepared() { prepare_s = now_s() - begun_s; }

void Run::end() {
  cpu_s = thread_cpu_s() - begun_cpu_s_;
  elapsed_s = now_s() - begun_s;
}

void Workspace::fill(const Run& run, std::size_t step_bytes) {
  auto size = static_cast<long>(step_bytes), row_size = run.num_steps * size;
  auto num_bytes = static_cast<std::size_t>(row_size) * run.counts.size();
  if (inputs.size() < num_bytes) inputs.resize(num_bytes);
  lengths.assign(run.counts.begin(), run.counts.end());
  std::byte* row = inputs.data();
  for (std::size_t index = 0; index < run.counts.size(); ++index, row += row_size) {
    const Sequence& sequence = *run.sequences[index];
    const std::byte* from =
        sequence.job->values.get() + (sequence.start + sequence.position) * size;
    std::fill(std::copy_n(from, run.counts[index] * size, row), row + row_size, std::byte{0});
  }
}

float* Workspace::state_room(std::size_t index, std::size_t size) {
  if (state.size() <= index) state.resize(index + 1);
  if (state[index].size() < size) state[index].resize(size);
  return state[index].data();
}

}  // namespace seqserve
