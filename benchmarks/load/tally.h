// What came back: counts by status, and latencies by group.
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "prepared.h"

#define MAX_STATUS 600

typedef struct {
    float *values;  // ms
    size_t count, capacity;
} Series;

typedef struct {
    Series groups[MAX_GROUPS], refused;
    uint64_t statuses[MAX_STATUS];
    uint64_t answers;  // of 200, in the window or not
    uint64_t offered, errors, unanswered, dropped, reconnects;
    uint64_t completed, in_time;  // answers of 200 within the window; those within the deadline
    double seconds, cpu_s;
} Tally;

void add_latency(Series *series, double latency_ms);

// One line of JSON to standard output; sorts the series.
void print_tally(Tally *tally);

#endif
