// The `sequences` scheduler: waiting requests cut into batches by length.
//
// For graphs that need every step at once (bidirectional, attention, Transformer). The cuts are
// those at which all batches together take least, found by dynamic programming with the cost model:
// after Fang et al., "TurboTransformers", PPoPP 2021. Running one by one is among the choices, so
// batching is never slower than none.
#pragma once

#include "schedule/scheduler.hpp"

namespace seqserve {

class SequenceScheduler : public Scheduler {
 public:
  using Scheduler::Scheduler;

  RunPtr take() override;
  void enqueue(const JobPtr& job) override;
  void forget(Job& job) override;
  long num_waiting() const override { return static_cast<long>(pool_.size()); }
  long num_active() const override { return num_running_; }

  // Where to end each batch of sequences of these lengths, ascending, so that the sum is least.
  std::vector<std::size_t> cut(const std::vector<long>& lengths) const;

 protected:
  void keep_state(const Run&, const Outputs&) override {}  // there is none
  void leave(Sequence&) override {}                        // it holds nothing

 private:
  using Batch = std::vector<SequencePtr>;

  bool is_stale() const;
  void plan();

  std::vector<Batch> planned_;  // the batch that is due first at the end
  long num_new_ = 0;            // since the plan was made
};

}  // namespace seqserve
