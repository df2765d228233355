#include "schedule/turns.hpp"

#include <algorithm>

namespace seqserve {

namespace {

constexpr double kTurnsWeight = 0.05;  // of one sequence

}  // namespace

void TurnScheduler::enqueue(const JobPtr& job) {
  num_waiting_ += static_cast<long>(job->sequences.size());
  for (const auto& sequence : job->sequences) rows_waiting_ += sequence.rows;
  Scheduler::enqueue(job);
}

// Those that are due first, as many as there is room for; new ones as long as they may hold state.
//
// One that does not fit is passed by, but only by what is due later: once what is due before it has
// ended, it is the first to find room.
RunPtr TurnScheduler::take() {
  std::vector<SequencePtr> taken;
  long rows = 0, most = share_of_rows();
  long held = rows_active_;
  for (const auto& sequence : pool_) {
    bool is_new = sequence->slot < 0;
    if (is_new && held > 0 && held + sequence->rows > bounds.max_active_sequences) continue;
    if (!taken.empty() && rows + sequence->rows > most) continue;
    if (is_new) held += sequence->rows;
    rows += sequence->rows;
    taken.push_back(sequence);
    if (rows >= most) break;
  }
  if (taken.empty()) return nullptr;
  for (const auto& sequence : taken) {
    if (sequence->slot >= 0) continue;
    sequence->slot = 0;
    --num_waiting_;
    ++num_active_;
    rows_waiting_ -= sequence->rows;
    rows_active_ += sequence->rows;
  }
  auto run = run_next(std::move(taken), 1);
  run->num_real = rows;
  return run;
}

void TurnScheduler::leave(Sequence& sequence) {
  if (sequence.slot < 0) {
    --num_waiting_;
    rows_waiting_ -= sequence.rows;
    return;
  }
  --num_active_;
  rows_active_ -= sequence.rows;
  if (sequence.left > 0) return;  // it was given up
  double taken = static_cast<double>(sequence.position) / static_cast<double>(sequence.length);
  turns_taken_ = turns_taken_ + kTurnsWeight * (taken - turns_taken_);
}

// By as many turns as sequences take of those that they may.
double TurnScheduler::work_s(const Job& job) const { return turns_taken_ * Scheduler::work_s(job); }

// Rows that one run may take, so that every engine thread gets as many.
long TurnScheduler::share_of_rows() const {
  long there = rows_waiting_ + rows_active_;
  long fair = (there + bounds.engine_threads - 1) / bounds.engine_threads;
  return std::clamp(fair, 1L, bounds.max_batch_size);
}

}  // namespace seqserve
