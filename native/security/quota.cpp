#include "security/quota.hpp"

#include <algorithm>
#include <atomic>

namespace seqserve {

namespace {

std::atomic_ref<std::int64_t> shared(std::int64_t& word) {
  static_assert(std::atomic_ref<std::int64_t>::is_always_lock_free, "processes share the words");
  return std::atomic_ref<std::int64_t>(word);
}

}  // namespace

std::optional<std::int64_t> Quota::take(std::int64_t now_ns) {
  if (!take_place()) return std::nullopt;
  auto wait_ns = take_token(now_ns);
  if (wait_ns > 0) leave();
  return wait_ns;
}

void Quota::leave() {
  if (limits_.max_concurrent > 0) shared(words_[1 + process_]).fetch_sub(1);
}

// Counted before it is compared: of two processes that take the last place neither may get it, but
// never both.
bool Quota::take_place() {
  if (limits_.max_concurrent <= 0) return true;
  shared(words_[1 + process_]).fetch_add(1);
  std::int64_t total = 0;
  for (std::size_t each = 0; each < num_processes_; ++each)
    total += shared(words_[1 + each]).load();
  if (total <= limits_.max_concurrent) return true;
  leave();
  return false;
}

// 0, or how long until there is one.
std::int64_t Quota::take_token(std::int64_t now_ns) {
  if (limits_.requests_per_s <= 0.0) return 0;
  auto interval_ns = static_cast<std::int64_t>(1e9 / limits_.requests_per_s);
  auto bucket_ns = static_cast<std::int64_t>(limits_.burst * static_cast<double>(interval_ns));
  auto full_at = shared(words_[0]);
  std::int64_t seen = full_at.load();
  while (true) {
    // no farther than an empty bucket, if the limits were others when it was written
    if (seen > now_ns + bucket_ns) {
      if (full_at.compare_exchange_weak(seen, now_ns + bucket_ns)) seen = now_ns + bucket_ns;
      continue;
    }
    std::int64_t next_ns = std::max(seen, now_ns) + interval_ns;
    if (next_ns - now_ns > bucket_ns) return next_ns - bucket_ns - now_ns;
    if (full_at.compare_exchange_weak(seen, next_ns)) return 0;
  }
}

}  // namespace seqserve
