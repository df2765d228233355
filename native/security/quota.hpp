// How often and how much at a time one caller may ask, counted for all processes of a server at
// once.
//
// The rate is the generic cell rate algorithm (ITU-T I.371): of a bucket of tokens it keeps the one
// time at which the bucket would be full again. What is in flight is counted by each process in a
// word of its own, so that what a dead one had in flight goes with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace seqserve {

struct QuotaLimits {
  double requests_per_s = 0.0;  // 0: any
  double burst = 1.0;           // requests at once of one who was quiet
  long max_concurrent = 0;      // 0: any
};

// In memory that processes share: the words are the time, then one count for each process.
class Quota {
 public:
  Quota(std::int64_t* words, std::size_t num_processes, std::size_t process, QuotaLimits limits)
      : words_(words), num_processes_(num_processes), process_(process), limits_(limits) {}

  // One more request, which begins at `now_ns`, if 0: else so many nanoseconds too soon. Nothing if
  // too many are in flight.
  std::optional<std::int64_t> take(std::int64_t now_ns);
  // One that was taken is over.
  void leave();

 private:
  bool take_place();
  std::int64_t take_token(std::int64_t now_ns);

  std::int64_t* words_;
  std::size_t num_processes_, process_;
  QuotaLimits limits_;
};

}  // namespace seqserve
