#include "engine/admission.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "clock.hpp"

namespace seqserve {

namespace {

constexpr double kRateWindow_s = 0.1, kRateWeight = 0.2;
constexpr double kLagKept = 0.5;     // of one look at the lag for the next
constexpr double kNothing_s = 1e-9;  // what rounding leaves

}  // namespace

Backlog::Backlog(long num_threads)
    : most_(static_cast<double>(std::max(num_threads, 1L))), rate_(most_) {}

double Backlog::wait_s() const { return kCaution * std::max(work_s_, 0.0) / rate_ + lag_s_; }

void Backlog::note_lag(double lag_s) { lag_s_ = 2.0 * std::max(lag_s, kLagKept * lag_s_ / 2.0); }

void Backlog::add(double work_s) {
  if (work_s_ <= kNothing_s) measure_anew();
  work_s_ += work_s;
}

void Backlog::remove(double work_s, bool done) {
  work_s_ -= work_s;
  if (done) done_s_ += work_s;
  if (work_s_ <= kNothing_s) {  // idle times are no measure of how fast it can be
    work_s_ = 0.0;
    measure_anew();
    return;
  }
  double elapsed_s = now_s() - since_s_;
  if (elapsed_s > kRateWindow_s) {
    double rate = std::clamp(done_s_ / elapsed_s, 0.05 * most_, 2.0 * most_);
    rate_ += kRateWeight * (rate - rate_);
    measure_anew();
  }
}

void Backlog::measure_anew() {
  since_s_ = now_s();
  done_s_ = 0.0;
}

Admission::Admission(std::string name, const Scheduler& scheduler, Backlog& backlog)
    : name_(std::move(name)), scheduler_(scheduler), backlog_(backlog) {}

std::optional<Refusal> Admission::enter(Job& job, double timeout_s) {
  double work_s = scheduler_.work_s(job);
  double wait_s = backlog_.wait_s(), expected_s = wait_s + work_s;
  auto count = static_cast<long>(job.sequences.size());
  const Bounds& bounds = scheduler_.bounds;
  long free = bounds.max_queue_size - num_sequences_;
  long free_cells = bounds.max_queue_cells - num_cells_;
  if (count > free) {
    return Refusal{"the queue of " + name_ + " is full: " + std::to_string(count) +
                       " sequences came, " + std::to_string(free) + " of " +
                       std::to_string(bounds.max_queue_size) + " places are free",
                   wait_s};
  }
  if (job.num_cells > free_cells && num_cells_ > 0) {
    return Refusal{"the queue of " + name_ + " is full: " + std::to_string(job.num_cells) +
                       " steps came, there is room for " + std::to_string(free_cells) + " of " +
                       std::to_string(bounds.max_queue_cells),
                   wait_s};
  }
  if (expected_s > timeout_s && !backlog_.is_empty()) {
    return Refusal{name_ + " would answer in about " + short_number(expected_s) +
                       " s, the deadline is in " + short_number(timeout_s) + " s",
                   expected_s - timeout_s};
  }
  job.expect(work_s);
  num_sequences_ += count;
  num_cells_ += job.num_cells;
  backlog_.add(work_s);
  return std::nullopt;
}

void Admission::leave(const Job& job, bool done) {
  num_sequences_ -= static_cast<long>(job.sequences.size());
  num_cells_ -= job.num_cells;
  backlog_.remove(job.work_s, done);
}

double Admission::fill() const {
  auto share = [](long count, long most) {
    return static_cast<double>(count) / static_cast<double>(most);
  };
  const Bounds& bounds = scheduler_.bounds;
  return std::max(share(num_sequences_, bounds.max_queue_size),
                  share(num_cells_, bounds.max_queue_cells));
}

std::string short_number(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", seconds);
  return text;
}

}  // namespace seqserve
