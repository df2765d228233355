#include "engine/engine.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace seqserve {

Engine::Engine(long num_threads)
    : ready_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), backlog_(num_threads) {
  if (ready_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Engine::~Engine() { ::close(ready_fd_); }

void Engine::add(const SchedulerPtr& scheduler, const std::string& name) {
  std::lock_guard held(doors_lock_);
  doors_.try_emplace(scheduler.get(), name, *scheduler, backlog_);
}

bool Engine::remove(const SchedulerPtr& scheduler) {
  {
    std::unique_lock held(doors_lock_);
    Door& door = doors_.at(scheduler.get());
    door.is_closed = true;
    ++num_removing_;
    left_.wait(held, [&] {
      // a run may outlast its jobs: their callers left
      return closed_ || (door.admission.num_sequences() == 0 && scheduler->num_active() == 0);
    });
    --num_removing_;
    if (closed_) return false;
    doors_.erase(scheduler.get());
  }
  std::lock_guard held(lock_);
  std::erase(busy_, scheduler);
  return true;
}

long Engine::num_waiting(const Scheduler& scheduler) const {
  std::lock_guard held(doors_lock_);
  auto door = doors_.find(&scheduler);
  if (door == doors_.end()) return 0;
  return std::max(door->second.admission.num_sequences() - scheduler.num_active(), 0L);
}

double Engine::fill(const Scheduler& scheduler) const {
  std::lock_guard held(doors_lock_);
  auto door = doors_.find(&scheduler);
  return door == doors_.end() ? 0.0 : door->second.admission.fill();
}

std::optional<Refusal> Engine::refuses(double timeout_s) const {
  double wait_s = backlog_.wait_s();
  if (wait_s <= timeout_s) return std::nullopt;
  return Refusal{"what waits here already takes longer than the " + short_number(timeout_s) +
                     " s that a request may",
                 wait_s - timeout_s};
}

std::optional<Refusal> Engine::submit(const SchedulerPtr& scheduler, const JobPtr& job,
                                      double timeout_s) {
  {
    std::lock_guard held(doors_lock_);
    auto door = doors_.find(scheduler.get());
    if (door == doors_.end() || door->second.is_closed) {
      return Refusal{"the model was unloaded before the request could run", 0.0,
                     Refusal::Kind::kGone};
    }
    if (double left_s = scheduler->quarantine_left_s(); left_s > 0.0) {
      return Refusal{"the model is quarantined: a run of it hung, or ended a process", left_s,
                     Refusal::Kind::kQuarantined};
    }
    if (auto refusal = door->second.admission.enter(*job, timeout_s)) return refusal;
  }
  job->scheduler = scheduler;
  job->place = under_way_.insert(under_way_.end(), job);
  {
    std::lock_guard held(inbox_lock_);
    inbox_.emplace_back(scheduler, job);
    wake(static_cast<long>(job->sequences.size()));
  }
  return std::nullopt;
}

bool Engine::give_up(const JobPtr& job) {
  if (!job->scheduler) return false;
  SchedulerPtr scheduler = std::move(job->scheduler);
  under_way_.erase(job->place);
  {
    std::lock_guard held(lock_);
    job->gone = true;  // if it is in the inbox still, it is left out there
    scheduler->forget(*job);
  }
  leave(*job, *scheduler, false);
  return true;
}

std::vector<JobPtr> Engine::expire(double now_s) {
  std::vector<JobPtr> late;
  for (const auto& job : under_way_) {
    if (job->deadline_s <= now_s) late.push_back(job);
  }
  for (const auto& job : late) give_up(job);
  return late;
}

std::vector<JobPtr> Engine::give_up_all(const Scheduler& scheduler) {
  std::vector<JobPtr> jobs;
  for (const auto& job : under_way_) {
    if (job->scheduler.get() == &scheduler) jobs.push_back(job);
  }
  for (const auto& job : jobs) give_up(job);
  return jobs;
}

double Engine::next_deadline_s() const {
  double next_s = kNever;
  for (const auto& job : under_way_) next_s = std::min(next_s, job->deadline_s);
  return next_s;
}

std::vector<JobPtr> Engine::collect() {
  std::uint64_t count;
  [[maybe_unused]] auto read_bytes = ::read(ready_fd_, &count, sizeof count);
  std::vector<JobPtr> jobs;
  {
    std::lock_guard held(done_lock_);
    jobs.swap(done_);
  }
  std::erase_if(jobs, [this](const JobPtr& job) {
    if (!job->scheduler) return true;  // it was given up meanwhile
    leave(*job, *job->scheduler, true);
    job->scheduler.reset();
    under_way_.erase(job->place);
    return false;
  });
  return jobs;
}

std::vector<JobPtr> Engine::give_up_failed(const std::vector<JobPtr>& jobs) {
  std::vector<JobPtr> failed;
  for (const auto& job : jobs) {
    if (give_up(job)) failed.push_back(job);
  }
  return failed;
}

void Engine::close() {
  {
    std::lock_guard held(inbox_lock_);
    closed_ = true;
    came_.notify_all();
  }
  tell_removing();
}

std::optional<Taken> Engine::next() {
  while (true) {
    std::unique_lock looking(lock_);
    if (auto taken = take_locked()) return taken;
    std::unique_lock held(inbox_lock_);
    ++num_idle_;  // before anyone else looks, who would call it to what is left over
    looking.unlock();
    came_.wait(held, [this] { return !inbox_.empty() || num_calls_ > 0 || closed_; });
    --num_idle_;
    if (num_calls_ > 0) {
      --num_calls_;
    } else if (inbox_.empty()) {
      return std::nullopt;
    }
  }
}

std::optional<Taken> Engine::take() {
  std::lock_guard held(lock_);
  return take_locked();
}

std::optional<Taken> Engine::take_locked() {
  empty_inbox();
  while (!busy_.empty()) {
    auto first = std::min_element(
        busy_.begin(), busy_.end(),
        [](const auto& one, const auto& other) { return one->next_due() < other->next_due(); });
    SchedulerPtr scheduler = *first;
    RunPtr run;
    // of a model that is quarantined, all that waits is about to be given up
    if (scheduler->next_due() < kNever && scheduler->quarantine_left_s() <= 0.0) {
      run = scheduler->take();
    }
    if (run) {
      if (scheduler->next_due() < kNever || busy_.size() > 1) {  // more than one run's worth
        std::lock_guard also_held(inbox_lock_);
        wake(1);
      }
      return Taken{std::move(scheduler), std::move(run)};
    }
    scheduler->is_busy = false;
    busy_.erase(first);
  }
  return std::nullopt;
}

std::vector<JobPtr> Engine::complete(const Taken& taken, const Outputs& outputs,
                                     const std::vector<std::size_t>& failed) {
  std::vector<JobPtr> answered, given_up;
  {
    std::lock_guard held(lock_);
    if (!taken.second->be_over()) return std::vector<JobPtr>(failed.size());
    given_up = taken.first->fail_rows(*taken.second, failed);
    answered = taken.first->complete(*taken.second, outputs);
    be_busy(taken.first);
  }
  tell_removing();
  if (answered.empty()) return given_up;
  bool is_first;
  {
    std::lock_guard held(done_lock_);
    is_first = done_.empty();
    std::move(answered.begin(), answered.end(), std::back_inserter(done_));
  }
  if (is_first) {
    std::uint64_t one = 1;
    [[maybe_unused]] auto written_bytes = ::write(ready_fd_, &one, sizeof one);
  }
  return given_up;
}

std::vector<JobPtr> Engine::fail(const Taken& taken) {
  std::vector<JobPtr> failed;
  {
    std::lock_guard held(lock_);
    if (!taken.second->be_over()) return {};
    failed = taken.first->fail(*taken.second);
    be_busy(taken.first);
  }
  tell_removing();
  return failed;
}

// A job that was let in is answered (`done`), or will never be.
void Engine::leave(const Job& job, const Scheduler& scheduler, bool done) {
  {
    std::lock_guard held(doors_lock_);
    doors_.at(&scheduler).admission.leave(job, done);
  }
  tell_removing();
}

// Have those who remove a model look again whether something of it is under way.
void Engine::tell_removing() {
  if (num_removing_ == 0) return;
  std::lock_guard held(doors_lock_);
  left_.notify_all();
}

void Engine::empty_inbox() {
  std::vector<std::pair<SchedulerPtr, JobPtr>> came;
  {
    std::lock_guard held(inbox_lock_);
    came.swap(inbox_);
  }
  for (auto& [scheduler, job] : came) {
    if (job->gone) continue;
    scheduler->enqueue(job);
    be_busy(scheduler);
  }
}

void Engine::be_busy(const SchedulerPtr& scheduler) {
  if (scheduler->is_busy) return;
  scheduler->is_busy = true;
  busy_.push_back(scheduler);
}

// Call so many idle threads to work; with `inbox_lock_` held.
void Engine::wake(long count) {
  long called = std::min(num_idle_ - num_calls_, count);
  for (; called > 0; --called) {
    ++num_calls_;
    came_.notify_one();
  }
}

}  // namespace seqserve
