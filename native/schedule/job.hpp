// A request on its way: sequences that wait, run and are answered together.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <vector>

namespace seqserve {

class Job;
class Scheduler;
struct Plan;
struct Run;
using JobPtr = std::shared_ptr<Job>;

constexpr long kHighPriority = 1, kLowPriority = 3;

// By priority, the highest first: how many times its own computing time a request may take.
//
// A request is due at its arrival plus that, and what is due first runs first. Short requests so
// pass long ones that came just before, and since every due time is finite, nothing ever starves.
constexpr std::array<double, 3> kPatience = {1.0, 8.0, 64.0};

// One sequence of a job.
struct Sequence {
  Job* job;
  long row;    // of the job
  long start;  // steps of the job's sequences before it
  long length;
  long left;                 // steps still to run
  long position = 0;         // steps already run
  long slot = -1;            // where its state lies, once it has run there
  long rows = 1;             // that it takes of a run; of turns alone
  bool chosen = false;       // for the run that is being made
  unsigned long serial = 0;  // of those that are due at one moment, the first come is first
};
using SequencePtr = std::shared_ptr<Sequence>;  // holds the whole job

// One output of a graph: of each sequence, or of each of its steps, of which it may have other than
// the input has: so many, rounded down.
struct OutputSpec {
  long steps(long inputs) const { return per_step ? (inputs * factor + offset) / stride : 1; }

  bool per_step;
  std::size_t num_bytes;
  long factor = 1, offset = 0, stride = 1;
};

// Any numbers, and what keeps them alive.
using Values = std::shared_ptr<const std::byte>;

class Job : public std::enable_shared_from_this<Job> {
 public:
  // values: the steps of all sequences, one behind the other; lengths: in steps, at least one each.
  Job(Values values, const std::vector<long>& lengths, long priority, double timeout_s);
  Job(const Job&) = delete;

  // Whole turns, which stay with the caller: how many each sequence may take, and of what width.
  Job(const std::vector<long>& turns, const std::vector<long>& rows, long priority,
      double timeout_s);

  // Note how long it should compute, from which follows when it is due.
  void expect(double work_s);
  // Keep what a run gave a sequence of this job, its row of the run, from its position on.
  //
  // outputs: of the whole run, in the specs' order.
  void keep(const Run& run, std::size_t row, const std::vector<OutputSpec>& specs,
            const std::vector<const std::byte*>& outputs);
  // Note that a sequence has all its outputs; true when it was the last one missing.
  bool answer() { return --unanswered_ == 0; }

  SequencePtr sequence(std::size_t row) { return {shared_from_this(), &sequences[row]}; }

  long priority;
  double submitted_s, deadline_s, due_s;
  double ran_s = 0.0;         // when its first run began
  double done_s = 0.0;        // when it had all its outputs
  double prepared_s = 0.0;    // when the tensors of a first run were in place
  double last_begun_s = 0.0;  // of the last of its runs to end
  long num_runs = 0;          // that had a sequence of it
  long max_rows = 0;          // of the largest of them
  double work_s = 0.0;        // of computing, as estimated when it was admitted
  long num_cells = 0;
  long kind = 0;                  // whole tensors: a request runs with those of the same kind
  std::atomic<bool> gone{false};  // nobody waits for the answer: see the engine
  std::vector<Sequence> sequences;
  const Values values;
  // of each spec: (batch, ...), or (steps, ...) of all sequences, one behind the other
  std::vector<std::vector<std::byte>> outputs;

  // of the event loop alone
  std::shared_ptr<Scheduler> scheduler;  // while it is under way
  std::list<JobPtr>::iterator place;     // among those under way

  // of a lane's request alone
  std::shared_ptr<const Plan> plan;
  std::string request_id;  // of the head
  std::string body_id;
  std::string trace_parent;    // of the head: who asks, in W3C's words; empty if it is not told
  std::string trace_response;  // what is answered to that; empty if the request is not traced here
  double waited_s = 0.0;       // from its head to the last of its body
  bool keep_alive = true;

 private:
  // Where an output's steps of a sequence begin, those of the sequences before it in front.
  long start_of(const Sequence& sequence, const OutputSpec& spec) const;

  std::size_t unanswered_;
};

}  // namespace seqserve
