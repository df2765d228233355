// The `turns` scheduler: one turn of each of several sequences at a time.
//
// For autoregressive decoders, whose next input is their last output: a turn feeds a piece of the
// prompt or one token, and whether it was the last is known only after it. What comes joins at the
// next run and what ends leaves at once, so a short text never waits for a long one:
// iteration-level scheduling after Yu et al., "Orca", OSDI 2022. The decoders' state stays with the
// caller.
#pragma once

#include "schedule/scheduler.hpp"

namespace seqserve {

class TurnScheduler : public Scheduler {
 public:
  using Scheduler::Scheduler;

  RunPtr take() override;
  void enqueue(const JobPtr& job) override;
  void prepare(const Run&, Workspace&) const override {}  // the caller has the tensors
  double work_s(const Job& job) const override;
  long num_waiting() const override { return num_waiting_; }
  long num_active() const override { return num_active_; }

 protected:
  void keep_state(const Run&, const Outputs&) override {}  // the caller does
  void leave(Sequence& sequence) override;
  std::pair<long, long> shape_of(const Run& run) const override { return {run.num_real, 1}; }

 private:
  long share_of_rows() const;

  std::atomic<long> num_waiting_{0}, num_active_{0};  // sequences
  long rows_waiting_ = 0, rows_active_ = 0;
  std::atomic<double> turns_taken_{1.0};  // of those that a sequence might have taken
};

}  // namespace seqserve
