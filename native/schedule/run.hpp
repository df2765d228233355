// What runs together, and the buffers that its tensors are built in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "schedule/job.hpp"

namespace seqserve {

// Sequences that run together, each from its position on.
struct Run {
  // max_steps: so many steps of each, or what is left of it.
  Run(std::vector<SequencePtr> taken, long max_steps);

  long num_rows() const { return static_cast<long>(sequences.size()); }
  // Time what happens between the two, by the thread that calls them.
  void begin();
  void end();
  // Note, between the two, that its tensors are in place.
  void be_prepared();
  // Have a sequence end with this run; by its thread, as no one else touches what runs.
  void finish(std::size_t row) { sequences.at(row)->left = counts.at(row); }
  // Note, under the engine's lock, that it is over; false if it was already.
  bool be_over() { return !std::exchange(is_over_, true); }

  std::vector<SequencePtr> sequences;
  std::vector<long> counts;
  long num_steps = 0;  // the largest count
  long num_real = 0;   // the counts' sum
  double cpu_s = 0.0;  // of its thread, once it is over
  double elapsed_s = 0.0;
  double prepare_s = 0.0;  // the part of it until its tensors were in place
  double begun_s = 0.0;
  bool is_usual = true;  // false if it failed, and was made anew in parts: no run takes so long

 private:
  double begun_cpu_s_ = 0.0;
  bool is_over_ = false;
};
using RunPtr = std::shared_ptr<Run>;

// One engine thread's buffers, used anew for every run; they grow to the largest run seen.
struct Workspace {
  // Put a run's steps in place: zero past each row's own.
  void fill(const Run& run, std::size_t step_bytes);
  // Room for so many floats of a state tensor.
  float* state_room(std::size_t index, std::size_t size);

  std::vector<std::byte> inputs;      // (batch, time, ...)
  std::vector<std::int64_t> lengths;  // (batch,)
  std::vector<std::vector<float>> state;
};

}  // namespace seqserve
