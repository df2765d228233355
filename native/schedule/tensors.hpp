// The `tensors` scheduler: whole requests, those alike put together along their first axis.
//
// For graphs that are no sequence models, or that nobody has described as such. What is alike (the
// types and all other axes of its tensors) the caller says with a number; the tensors themselves
// stay with it. A graph whose rows depend on each other runs one request at a time: a batch of 1.
#pragma once

#include "schedule/scheduler.hpp"

namespace seqserve {

class TensorScheduler : public Scheduler {
 public:
  using Scheduler::Scheduler;

  RunPtr take() override;
  void prepare(const Run&, Workspace&) const override {}  // the caller has the tensors
  long num_waiting() const override { return static_cast<long>(pool_.size()); }
  long num_active() const override { return num_running_; }

 protected:
  void keep_state(const Run&, const Outputs&) override {}  // there is none
  void leave(Sequence&) override {}                        // it holds nothing
  std::pair<long, long> shape_of(const Run& run) const override;
};

}  // namespace seqserve
