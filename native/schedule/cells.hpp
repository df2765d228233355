// The `cells` scheduler: a chunk of steps of several sequences at a time.
//
// For graphs that carry their state (RNN, LSTM, GRU). A sequence may run with others at every tick
// and leaves at its own end, so a short one never waits for a long one. After Gao et al., "Low
// latency RNN inference with cellular batching", EuroSys 2018; here the chunk is no constant: each
// tick takes rows with about as much left, and the chunk that gets most done in a second.
#pragma once

#include "schedule/scheduler.hpp"

namespace seqserve {

class CellScheduler : public Scheduler {
 public:
  CellScheduler(const Bounds& bounds, std::shared_ptr<CostTable> cost,
                std::shared_ptr<RunTally> tally, GraphSpec graph);

  RunPtr take() override;
  void enqueue(const JobPtr& job) override;
  void prepare(const Run& run, Workspace& workspace) const override;
  long num_waiting() const override { return num_waiting_; }
  long num_active() const override { return num_active_; }

  // for tests: the slots that no sequence holds
  const std::vector<long>& free_slots() const { return free_slots_; }

 protected:
  void keep_state(const Run& run, const Outputs& outputs) override;
  void leave(Sequence& sequence) override;

 private:
  struct Choice {
    double rate = 0.0;  // what gets done in a second, in steps
    long chunk = 1;
  };

  std::vector<SequencePtr> with_slots(std::vector<SequencePtr> window) const;
  Choice best_chunk(const std::vector<long>& left) const;
  void start(Sequence& sequence);

  std::vector<std::unique_ptr<float[]>> held_;  // (slots, *shape) of each state tensor
  std::vector<long> free_slots_;
  std::atomic<long> num_waiting_{0}, num_active_{0};
};

}  // namespace seqserve
