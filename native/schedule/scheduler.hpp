// What both schedulers share: the sequences that wait in order of when they are due, and runs.
#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "schedule/cost.hpp"
#include "schedule/run.hpp"
#include "schedule/sampler.hpp"
#include "tally.hpp"

namespace seqserve {

constexpr double kNever = std::numeric_limits<double>::infinity();

// How much a scheduler runs and holds at a time: the settings of the same names.
struct Bounds {
  long engine_threads, max_batch_size;
  double max_run_s;
  long chunk_steps;  // 0: as the cost model says
  long max_active_sequences;
  double max_padding_ratio;
  long max_queue_size, max_queue_cells;
};

// A state tensor that goes from run to run: (*shape) a sequence.
struct StateSpec {
  StateSpec(std::vector<long> shape, float initial);

  std::vector<long> shape;
  float initial;
  std::size_t size;
};

// What a graph answers with, each in the order of the specs.
struct Outputs {
  std::vector<const std::byte*> tensors;  // (batch, ...), or (batch, time, ...)
  std::vector<const float*> state;        // (batch, *shape)
};

// What a scheduler needs to know of a graph's tensors.
struct GraphSpec {
  std::size_t step_bytes;  // of one step of the inputs
  bool is_ragged;          // takes sequences of different lengths in one run
  std::vector<OutputSpec> outputs;
  std::vector<StateSpec> state;
};

// Decides what one model runs next. All is called under the engine's lock, but what reads counters.
class Scheduler : public std::enable_shared_from_this<Scheduler> {
 public:
  Scheduler(const Bounds& bounds, std::shared_ptr<CostTable> cost, std::shared_ptr<RunTally> tally,
            GraphSpec graph);
  virtual ~Scheduler() = default;

  // The run to make next; null if nothing can run now.
  virtual RunPtr take() = 0;
  virtual long num_waiting() const = 0;  // sequences that have not run at all
  virtual long num_active() const = 0;   // that are running, or between two chunks

  // Let a request's sequences wait for their turn.
  virtual void enqueue(const JobPtr& job);
  // Drop what of a request has not run: nobody waits for it any more.
  virtual void forget(Job& job);
  // Seconds that a request should compute; may be asked by any thread.
  virtual double work_s(const Job& job) const;
  // Put a run's tensors in place; without the lock, as no one else touches what runs.
  virtual void prepare(const Run& run, Workspace& workspace) const;
  // Note a run's outputs; the jobs that are answered by it.
  std::vector<JobPtr> complete(const Run& run, const Outputs& outputs);
  // Give up the jobs that had a sequence in this run, and no other; those that somebody waits for.
  std::vector<JobPtr> fail(const Run& run);
  // Give up the jobs of some rows of a run that is to be completed; null where that is done
  // already.
  std::vector<JobPtr> fail_rows(const Run& run, const std::vector<std::size_t>& rows);

  // Refuse what comes for so many seconds, from now on; infinite: until it is set anew.
  void quarantine(double seconds);
  // Seconds that are left of that, at most 0 if there are none; may be asked by any thread.
  double quarantine_left_s() const;

  // When the first sequence that could run is due; kNever if there is none.
  double next_due() const { return pool_.empty() ? kNever : pool_.front()->job->due_s; }

  const Bounds bounds;
  const std::shared_ptr<CostTable> cost;
  const GraphSpec graph;
  bool is_busy = false;              // among those that the engine looks through
  std::shared_ptr<Sampler> sampler;  // of what is answered, if any; given before the first job

  // What requests take; for the event loop.
  StageTally& stages() const { return tally_->stages; }

  // for tests: what waits, the first due first
  const std::vector<SequencePtr>& pool() const { return pool_; }

 protected:
  // Put a run's new state where the next one of each sequence finds it.
  virtual void keep_state(const Run& run, const Outputs& outputs) = 0;
  // Forget a sequence that will not run again.
  virtual void leave(Sequence& sequence) = 0;

  // Take these out of the pool.
  RunPtr run_next(std::vector<SequencePtr> sequences, long max_steps);
  // How a run looks to the cost model: its rows and steps.
  virtual std::pair<long, long> shape_of(const Run& run) const;
  // Rows that one run may take, so that every engine thread gets as many.
  long share() const;
  // Those that are due first, as many as one choice looks at.
  std::vector<SequencePtr> window() const;

  std::vector<SequencePtr> pool_;  // what may run next, the first due first
  std::atomic<long> num_running_{0};

 private:
  void put_back(const SequencePtr& sequence);
  JobPtr give_up(Job& job);

  std::shared_ptr<RunTally> tally_;
  unsigned long serial_ = 0;
  std::atomic<double> quarantined_until_s_{0.0};
};
using SchedulerPtr = std::shared_ptr<Scheduler>;

}  // namespace seqserve
