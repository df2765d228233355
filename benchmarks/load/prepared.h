// The requests that Python prepared, and the seeded order and times at which they are sent.
#ifndef PREPARED_H
#define PREPARED_H

#include <stddef.h>
#include <stdint.h>

#define MAX_GROUPS 16

typedef struct {
    uint32_t group;  // what its latency is counted under, besides all together
    uint32_t size;
    const char *bytes;  // a whole HTTP request
} Request;

typedef struct {
    Request *requests;
    uint32_t count;
    uint32_t *order;  // a permutation, drawn anew whenever it is used up
    uint32_t next;
    uint64_t random;
} Prepared;

// Read records of (uint32 group, uint32 size, bytes), little-endian; exits on a bad file.
Prepared read_prepared(const char *path, uint64_t seed);

// The index of the next request in the random order; `shuffled` false: in the file's order.
uint32_t next_request(Prepared *prepared, int shuffled);

// Poisson arrivals at `rate` a second for `seconds`: nanoseconds from the start.
int64_t *draw_arrivals(Prepared *prepared, double rate, double seconds, size_t *count);

void die(const char *what, const char *which);

#endif
