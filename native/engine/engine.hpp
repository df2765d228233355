// The engine: takes requests in on the event loop, gives runs to threads, and hands answers back.
//
// The event loop puts requests into an inbox, which the threads empty when they look for work, and
// learns of answered ones by a file descriptor that becomes readable: once, however many there are.
// Nothing here needs Python's lock, and nothing that holds a lock of this waits for Python's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/admission.hpp"

namespace seqserve {

using Taken = std::pair<SchedulerPtr, RunPtr>;

class Engine {
 public:
  // num_threads: that will call `next`.
  explicit Engine(long num_threads);
  ~Engine();
  Engine(const Engine&) = delete;

  // of the event loop

  // Run this model's batches too; by any thread.
  void add(const SchedulerPtr& scheduler, const std::string& name);
  // Let no more of this model's jobs in, wait until none is under way, and forget it; by any thread
  // but the event loop's, which ends them. False, and nothing is forgotten, if the engine is
  // closed.
  bool remove(const SchedulerPtr& scheduler);
  // Sequences of this model that wait for their first run.
  long num_waiting(const Scheduler& scheduler) const;
  // How full this model's queue is, from 0 to about 1.
  double fill(const Scheduler& scheduler) const;
  // Why nothing more can be done within `timeout_s`, if so: to be asked before a request is read.
  std::optional<Refusal> refuses(double timeout_s) const;
  void note_lag(double lag_s) { backlog_.note_lag(lag_s); }
  // Have a job run, or say why not.
  std::optional<Refusal> submit(const SchedulerPtr& scheduler, const JobPtr& job, double timeout_s);
  // Let go of a job before its end; false if that has come already.
  bool give_up(const JobPtr& job);
  // Jobs whose deadline is past, which it lets go of.
  std::vector<JobPtr> expire(double now_s);
  // Let go of all jobs of a model; these.
  std::vector<JobPtr> give_up_all(const Scheduler& scheduler);
  // The next deadline of any job under way; kNever if there is none.
  double next_deadline_s() const;
  // Jobs that were answered since, and that were not let go of.
  std::vector<JobPtr> collect();
  // Let go of jobs that a run failed; those that were not let go of before.
  std::vector<JobPtr> give_up_failed(const std::vector<JobPtr>& jobs);
  // Readable when there is something to collect.
  int ready_fd() const { return ready_fd_; }
  // Take no new work; `next` ends once what was submitted is done.
  void close();
  bool is_closed() const { return closed_; }

  // of the engine's threads

  // Wait for a run; nothing once the engine is closed and nothing is left to run.
  std::optional<Taken> next();
  // The run of the model whose first sequence is due first, if there is one.
  std::optional<Taken> take();
  // A run is over: what it answered can be collected. Nothing happens if it was failed before.
  //
  // failed: rows without outputs, whose jobs are failed; of each its job, null if that was already.
  std::vector<JobPtr> complete(const Taken& taken, const Outputs& outputs,
                               const std::vector<std::size_t>& failed = {});
  // A run failed, or is given up while it goes on; the jobs that had a sequence in it. None if it
  // is over already.
  std::vector<JobPtr> fail(const Taken& taken);

 private:
  std::optional<Taken> take_locked();
  void leave(const Job& job, const Scheduler& scheduler, bool done);
  void tell_removing();
  void empty_inbox();
  void be_busy(const SchedulerPtr& scheduler);
  void wake(long count);

  std::mutex lock_;                 // of the schedulers
  std::vector<SchedulerPtr> busy_;  // those that may have something to run

  std::mutex inbox_lock_;  // held for a few instructions only; taken while `lock_` is, never around
  std::condition_variable came_;
  std::vector<std::pair<SchedulerPtr, JobPtr>> inbox_;
  long num_idle_ = 0, num_calls_ = 0;
  std::atomic<bool> closed_{false};

  std::mutex done_lock_;
  std::vector<JobPtr> done_;
  int ready_fd_;

  mutable std::mutex doors_lock_;  // models come by other threads
  struct Door {
    Door(const std::string& name, const Scheduler& scheduler, Backlog& backlog)
        : admission(name, scheduler, backlog) {}
    Admission admission;
    bool is_closed = false;
  };
  std::unordered_map<const Scheduler*, Door> doors_;
  std::condition_variable left_;  // a job of a model that is removed, or a run of it, is over
  std::atomic<long> num_removing_{0};
  Backlog backlog_;
  std::list<JobPtr> under_way_;  // admitted, and not over
};

}  // namespace seqserve
