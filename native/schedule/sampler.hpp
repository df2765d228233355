// Answered jobs that are kept for a while, so that somebody can look at what models are given.
#pragma once

#include <cstddef>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "schedule/job.hpp"

namespace seqserve {

// Keeps so large a share of the jobs, by chance, until they are taken; no more than it may hold.
class Sampler {
 public:
  explicit Sampler(double share) : share_(share) {}

  // A job was answered; `num_bytes`: of what it was asked.
  void offer(const JobPtr& job, std::size_t num_bytes) {
    std::lock_guard held(lock_);
    if (share_ < 1.0 && chance_(random_) >= share_) return;
    if (kept_.size() >= kMaxJobs || num_bytes_ + num_bytes > kMaxBytes) return;
    kept_.push_back(job);
    num_bytes_ += num_bytes;
  }

  std::vector<JobPtr> take() {
    std::lock_guard held(lock_);
    num_bytes_ = 0;
    return std::exchange(kept_, {});
  }

 private:
  static constexpr std::size_t kMaxJobs = 256, kMaxBytes = 8 << 20;

  const double share_;
  std::mutex lock_;
  std::minstd_rand random_{std::random_device{}()};
  std::uniform_real_distribution<double> chance_{0.0, 1.0};
  std::vector<JobPtr> kept_;
  std::size_t num_bytes_ = 0;
};

}  // namespace seqserve
