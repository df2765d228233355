#include "schedule/tensors.hpp"

#include <algorithm>

namespace seqserve {

// The request that is due first, and those like it as long as there is room.
RunPtr TensorScheduler::take() {
  if (pool_.empty()) return nullptr;
  std::vector<SequencePtr> alike;
  long rows = 0, longest = 0;
  for (const auto& request : window()) {
    long together = rows + request->length;
    bool fits = request->job->kind == pool_.front()->job->kind &&
                together <= bounds.max_batch_size && cost->predict(together, 1) <= bounds.max_run_s;
    if (!alike.empty() && !fits) continue;
    alike.push_back(request);
    rows = together;
    longest = std::max(longest, request->length);
    if (static_cast<long>(alike.size()) == share()) break;
  }
  return run_next(std::move(alike), longest);
}

std::pair<long, long> TensorScheduler::shape_of(const Run& run) const { return {run.num_real, 1}; }

}  // namespace seqserve
