// Who is let in: what the queues hold, and whether a request's deadline can be met at all.
//
// Used on the event loop alone, so that a refusal needs no lock and costs next to nothing. After
// Gujarati et al., "Serving DNNs like clockwork", OSDI 2020: a request that its own estimate says
// will be late is refused at once, and takes no time from those that can be in time.
#pragma once

#include <optional>
#include <string>

#include "schedule/scheduler.hpp"

namespace seqserve {

// What is admitted still waits for the event loop, and for what is due before it.
constexpr double kCaution = 1.5;

// Why a request is not let in.
struct Refusal {
  enum class Kind {
    kOverloaded,
    kGone,         // the model was removed: its name may lead to another by now
    kQuarantined,  // a run of it hung
  };

  std::string message;
  double retry_after_s;
  Kind kind = Kind::kOverloaded;
};

// All admitted work that is not answered yet, and how fast it is worked off.
class Backlog {
 public:
  // num_threads: seconds of computing done in a second, until it was measured.
  explicit Backlog(long num_threads);

  // How long what is there will take, with some caution, and the event loop's lag.
  double wait_s() const;
  bool is_empty() const { return work_s_ <= 0.0; }
  // What comes has waited about so long for the event loop, and so will its answer.
  void note_lag(double lag_s);
  // So much more came.
  void add(double work_s);
  // So much is over with; `done` if it was computed, not dropped.
  void remove(double work_s, bool done);

 private:
  void measure_anew();

  double most_, rate_;
  double work_s_ = 0.0, done_s_ = 0.0, since_s_ = 0.0, lag_s_ = 0.0;
};

// One model's door.
class Admission {
 public:
  // name: of the model; backlog: of all models.
  Admission(std::string name, const Scheduler& scheduler, Backlog& backlog);

  // Let a request in, or not.
  std::optional<Refusal> enter(Job& job, double timeout_s);
  // A request that was let in is answered (`done`), or will never be.
  void leave(const Job& job, bool done);

  // Sequences under way: waiting or running.
  long num_sequences() const { return num_sequences_; }
  // How full it is, from 0 to about 1: by its sequences or by its steps, whichever says more.
  double fill() const;

 private:
  std::string name_;
  const Scheduler& scheduler_;
  Backlog& backlog_;
  long num_sequences_ = 0, num_cells_ = 0;
};

// A number of seconds for a message, three digits of it.
std::string short_number(double seconds);

}  // namespace seqserve
