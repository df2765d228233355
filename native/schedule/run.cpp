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
  begun_s_ = now_s();
  begun_cpu_s_ = thread_cpu_s();
}

void Run::end() {
  cpu_s = thread_cpu_s() - begun_cpu_s_;
  elapsed_s = now_s() - begun_s_;
}

void Workspace::fill(const Run& run, long num_features) {
  auto row_size = static_cast<std::size_t>(run.num_steps * num_features);
  if (inputs.size() < row_size * run.counts.size()) inputs.resize(row_size * run.counts.size());
  lengths.assign(run.counts.begin(), run.counts.end());
  float* row = inputs.data();
  for (std::size_t index = 0; index < run.counts.size(); ++index, row += row_size) {
    const Sequence& sequence = *run.sequences[index];
    float* end = std::copy_n(sequence.inputs + sequence.position * num_features,
                             run.counts[index] * num_features, row);
    std::fill(end, row + row_size, 0.0f);
  }
}

float* Workspace::state_room(std::size_t index, std::size_t size) {
  if (state.size() <= index) state.resize(index + 1);
  if (state[index].size() < size) state[index].resize(size);
  return state[index].data();
}

}  // namespace seqserve
