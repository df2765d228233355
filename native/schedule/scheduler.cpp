#include "schedule/scheduler.hpp"

#include <algorithm>
#include <cmath>

#include "clock.hpp"

namespace seqserve {

namespace {

constexpr std::size_t kWindow = 48;  // sequences that one choice of a run looks at

bool is_due_before(const SequencePtr& one, const SequencePtr& other) {
  double due_s = one->job->due_s, other_s = other->job->due_s;
  return due_s != other_s ? due_s < other_s : one->serial < other->serial;
}

// Note that a job had a sequence in a run, or several.
void note_run(Job& job, const Run& run, long rows) {
  if (job.last_begun_s == run.begun_s && job.num_runs > 0) return;
  job.last_begun_s = run.begun_s;
  ++job.num_runs;
  job.max_rows = std::max(job.max_rows, rows);
  if (job.prepared_s == 0.0) job.prepared_s = run.begun_s + run.prepare_s;
}

}  // namespace

StateSpec::StateSpec(std::vector<long> of_one, float initial)
    : shape(std::move(of_one)), initial(initial), size(1) {
  for (long axis : shape) size *= static_cast<std::size_t>(axis);
}

Scheduler::Scheduler(const Bounds& bounds, std::shared_ptr<CostTable> cost,
                     std::shared_ptr<RunTally> tally, GraphSpec graph)
    : bounds(bounds), cost(std::move(cost)), graph(std::move(graph)), tally_(std::move(tally)) {}

void Scheduler::enqueue(const JobPtr& job) {
  for (std::size_t row = 0; row < job->sequences.size(); ++row) {
    SequencePtr sequence = job->sequence(row);
    sequence->serial = ++serial_;
    put_back(sequence);
  }
}

void Scheduler::forget(Job& job) {
  std::erase_if(pool_, [&](const SequencePtr& sequence) {
    if (sequence->job != &job) return false;
    leave(*sequence);
    return true;
  });
}

void Scheduler::quarantine(double seconds) { quarantined_until_s_ = now_s() + seconds; }

double Scheduler::quarantine_left_s() const {
  double until_s = quarantined_until_s_;
  return until_s == 0.0 ? 0.0 : until_s - now_s();  // most were never quarantined
}

double Scheduler::work_s(const Job& job) const {
  return static_cast<double>(job.num_cells) * cost->cell_s();
}

void Scheduler::prepare(const Run& run, Workspace& workspace) const {
  workspace.fill(run, graph.step_bytes);
}

std::vector<JobPtr> Scheduler::complete(const Run& run, const Outputs& outputs) {
  double begun_s = now_s();
  keep_state(run, outputs);
  auto [rows, steps] = shape_of(run);
  double predicted_s = cost->predict(rows, steps);
  tally_->compute_s.observe(run.elapsed_s);
  tally_->rows.observe(static_cast<double>(rows));
  tally_->cpu_s.add(run.cpu_s);
  tally_->real_cells.add(static_cast<double>(run.num_real));
  tally_->padded_cells.add(static_cast<double>(rows * steps - run.num_real));
  if (run.is_usual) {
    tally_->predicted_s.add(predicted_s);
    tally_->misprediction_s.add(std::abs(run.cpu_s - predicted_s));
    cost->observe(rows, steps, run.cpu_s);
  }
  num_running_ -= run.num_rows();
  std::vector<JobPtr> answered;
  for (std::size_t row = 0; row < run.sequences.size(); ++row) {
    const SequencePtr& sequence = run.sequences[row];
    Job& job = *sequence->job;
    note_run(job, run, rows);
    if (!job.gone) job.keep(run, row, graph.outputs, outputs.tensors);
    sequence->position += run.counts[row];
    sequence->left -= run.counts[row];
    if (!job.gone && sequence->left > 0) {
      put_back(sequence);
      continue;
    }
    leave(*sequence);
    if (!job.gone && job.answer()) answered.push_back(job.shared_from_this());
  }
  double ended_s = now_s();
  for (const auto& job : answered) {
    job->done_s = ended_s;
    auto num_bytes = static_cast<std::size_t>(job->num_cells) * graph.step_bytes;
    if (sampler) sampler->offer(job, num_bytes);
  }
  // a request of more rows than any batch must not make a size of its own to be kept
  long size = std::min(rows, cost->max_rows());
  tally_->batches.add(size, run.prepare_s, run.elapsed_s - run.prepare_s, ended_s - begun_s);
  return answered;
}

std::pair<long, long> Scheduler::shape_of(const Run& run) const {
  return {run.num_rows(), run.num_steps};
}

std::vector<JobPtr> Scheduler::fail(const Run& run) {
  num_running_ -= run.num_rows();
  std::vector<JobPtr> failed;
  for (const auto& sequence : run.sequences) leave(*sequence);
  for (const auto& sequence : run.sequences) {
    if (JobPtr job = give_up(*sequence->job)) failed.push_back(std::move(job));
  }
  return failed;
}

std::vector<JobPtr> Scheduler::fail_rows(const Run& run, const std::vector<std::size_t>& rows) {
  std::vector<JobPtr> failed;
  for (std::size_t row : rows) failed.push_back(give_up(*run.sequences.at(row)->job));
  return failed;
}

// Drop what of a job waits, and have it leave whatever runs; null if nobody waits for it any more.
JobPtr Scheduler::give_up(Job& job) {
  if (job.gone) return nullptr;
  job.gone = true;
  forget(job);
  return job.shared_from_this();
}

void Scheduler::put_back(const SequencePtr& sequence) {
  pool_.insert(std::upper_bound(pool_.begin(), pool_.end(), sequence, is_due_before), sequence);
}

RunPtr Scheduler::run_next(std::vector<SequencePtr> sequences, long max_steps) {
  for (const auto& sequence : sequences) sequence->chosen = true;
  std::erase_if(pool_, [](const SequencePtr& sequence) { return sequence->chosen; });
  num_running_ += static_cast<long>(sequences.size());
  double at_s = now_s();
  for (const auto& sequence : sequences) {
    sequence->chosen = false;
    if (sequence->position > 0) continue;
    Job& job = *sequence->job;
    tally_->queue_s.observe(at_s - job.submitted_s);
    if (job.ran_s == 0.0) job.ran_s = at_s;
  }
  return std::make_shared<Run>(std::move(sequences), max_steps);
}

long Scheduler::share() const {
  long there = static_cast<long>(pool_.size()) + num_running_;
  long fair = (there + bounds.engine_threads - 1) / bounds.engine_threads;
  return std::clamp(fair, 1L, bounds.max_batch_size);
}

std::vector<SequencePtr> Scheduler::window() const {
  auto count = std::min(pool_.size(), kWindow);
  return {pool_.begin(), pool_.begin() + static_cast<long>(count)};
}

}  // namespace seqserve
