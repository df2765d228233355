#include "schedule/cells.hpp"

#include <algorithm>
#include <cstdlib>

namespace seqserve {

namespace {

// What ending a sequence is worth, in steps; 2 to 8 differ little in simulation.
constexpr long kEndingSteps = 5;

long divided_up(long amount, long by) { return (amount + by - 1) / by; }

}  // namespace

CellScheduler::CellScheduler(const Bounds& bounds, std::shared_ptr<CostTable> cost,
                             std::shared_ptr<RunTally> tally, GraphSpec about)
    : Scheduler(bounds, std::move(cost), std::move(tally), std::move(about)) {
  auto slots = static_cast<std::size_t>(bounds.max_active_sequences);
  for (const auto& spec : graph.state) held_.emplace_back(new float[slots * spec.size]);
  for (long slot = 0; slot < bounds.max_active_sequences; ++slot) free_slots_.push_back(slot);
}

void CellScheduler::enqueue(const JobPtr& job) {
  num_waiting_ += static_cast<long>(job->sequences.size());
  Scheduler::enqueue(job);
}

// The next chunks of the sequence that is due first, and of those that fit it best: of as many as
// have about as much left, so many, and in such a chunk, as get most done in a second.
RunPtr CellScheduler::take() {
  auto rows = window();
  if (static_cast<long>(free_slots_.size()) < bounds.max_batch_size) {
    rows = with_slots(std::move(rows));
  }
  if (rows.empty()) return nullptr;
  long first = rows.front()->left;
  std::stable_sort(rows.begin(), rows.end(), [first](const auto& one, const auto& other) {
    return std::labs(one->left - first) < std::labs(other->left - first);
  });
  rows.resize(std::min(rows.size(), static_cast<std::size_t>(share())));
  long chunk = std::min(bounds.chunk_steps, cost->max_steps());
  if (!chunk) {
    Choice best;
    std::size_t best_count = 1;
    std::vector<long> left;
    for (std::size_t count = 1; count <= rows.size(); ++count) {
      long added = rows[count - 1]->left;
      left.insert(std::upper_bound(left.begin(), left.end(), added), added);
      Choice found = best_chunk(left);
      if (found.rate >= best.rate) best = found, best_count = count;
    }
    rows.resize(best_count);
    chunk = best.chunk;
  }
  if (!graph.is_ragged) {
    for (const auto& sequence : rows) chunk = std::min(chunk, sequence->left);
  }
  auto run = run_next(std::move(rows), chunk);
  for (const auto& sequence : run->sequences) {
    if (sequence->slot < 0) start(*sequence);
  }
  return run;
}

// Those that hold a slot, and as many others as there are slots.
std::vector<SequencePtr> CellScheduler::with_slots(std::vector<SequencePtr> window) const {
  auto free = static_cast<long>(free_slots_.size());
  std::erase_if(window,
                [&free](const SequencePtr& sequence) { return sequence->slot < 0 && free-- <= 0; });
  if (!window.empty()) return window;
  for (const auto& sequence : pool_) {  // further behind
    if (sequence->slot < 0) continue;
    window.push_back(sequence);
    if (static_cast<long>(window.size()) == bounds.max_batch_size) break;
  }
  return window;
}

// The chunk that gets most done with rows of which this much is left, ascending.
//
// It is one at which some of them end, or an even part of that where it would take over
// `max_run_ms`. Ending counts as `kEndingSteps` more, for what is left over must be run once more,
// and seldom in as good company.
CellScheduler::Choice CellScheduler::best_chunk(const std::vector<long>& left) const {
  Choice best;
  auto count = static_cast<long>(left.size());
  long longest = cost->longest(count, bounds.max_run_s);
  long done = 0, ended = 0;
  for (long steps : left) {
    if (!graph.is_ragged && steps > left.front()) break;
    done += steps;
    ++ended;
    long chunk = steps;
    long worth = done + (count - ended) * steps + kEndingSteps * ended;
    if (steps > longest) {
      chunk = divided_up(steps, divided_up(steps, longest));
      worth = count * chunk;
    }
    double rate = static_cast<double>(worth) / cost->predict(count, chunk);
    if (rate > best.rate) best = {rate, chunk};
  }
  return best;
}

// Give a sequence a slot, in which its state begins.
void CellScheduler::start(Sequence& sequence) {
  --num_waiting_;
  ++num_active_;
  sequence.slot = free_slots_.back();
  free_slots_.pop_back();
  for (std::size_t index = 0; index < graph.state.size(); ++index) {
    auto size = graph.state[index].size;
    float* at = held_[index].get() + static_cast<std::size_t>(sequence.slot) * size;
    std::fill_n(at, size, graph.state[index].initial);
  }
}

void CellScheduler::leave(Sequence& sequence) {
  if (sequence.slot < 0) {
    --num_waiting_;
  } else {
    --num_active_;
    free_slots_.push_back(sequence.slot);
  }
}

void CellScheduler::prepare(const Run& run, Workspace& workspace) const {
  Scheduler::prepare(run, workspace);
  for (std::size_t index = 0; index < graph.state.size(); ++index) {
    auto size = graph.state[index].size;
    float* to = workspace.state_room(index, size * run.sequences.size());
    for (const auto& sequence : run.sequences) {
      to = std::copy_n(held_[index].get() + static_cast<std::size_t>(sequence->slot) * size, size,
                       to);
    }
  }
}

void CellScheduler::keep_state(const Run& run, const Outputs& outputs) {
  for (std::size_t index = 0; index < graph.state.size(); ++index) {
    auto size = graph.state[index].size;
    const float* from = outputs.state[index];
    for (const auto& sequence : run.sequences) {
      std::copy_n(from, size, held_[index].get() + static_cast<std::size_t>(sequence->slot) * size);
      from += size;
    }
  }
}

}  // namespace seqserve
