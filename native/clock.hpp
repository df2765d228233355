// The two clocks that everything is timed by.
#pragma once

#include <ctime>

namespace seqserve {

inline double read_clock_s(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Seconds of a clock that never goes back: Python's time.perf_counter().
inline double now_s() { return read_clock_s(CLOCK_MONOTONIC); }

// CPU seconds of the calling thread.
inline double thread_cpu_s() { return read_clock_s(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace seqserve
