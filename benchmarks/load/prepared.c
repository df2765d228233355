#include "prepared.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *what, const char *which) {
    fprintf(stderr, "load: %s %s%s%s\n", what, which, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(2);
}

static uint64_t draw(uint64_t *state) {  // xorshift64*
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ULL;
}

static char *read_all(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) die("can't read", path);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) die("can't read", path);
    fclose(file);
    return bytes;
}

Prepared read_prepared(const char *path, uint64_t seed) {
    size_t size, at = 0;
    const char *bytes = read_all(path, &size);
    Prepared prepared = {.random = seed * 0x9E3779B97F4A7C15ULL + 1};
    while (at + 8 <= size) {
        Request request;
        memcpy(&request.group, bytes + at, 4);
        memcpy(&request.size, bytes + at + 4, 4);
        request.bytes = bytes + at + 8;
        at += 8 + request.size;
        if (at > size || request.group >= MAX_GROUPS) die("bad record in", path);
        prepared.requests = realloc(prepared.requests, (prepared.count + 1) * sizeof(Request));
        prepared.requests[prepared.count++] = request;
    }
    if (at != size || !prepared.count) die("bad record in", path);
    prepared.order = malloc(prepared.count * sizeof(uint32_t));
    for (uint32_t i = 0; i < prepared.count; i++) prepared.order[i] = i;
    return prepared;
}

uint32_t next_request(Prepared *prepared, int shuffled) {
    uint32_t at = prepared->next++ % prepared->count;
    if (at == 0 && shuffled)
        for (uint32_t i = prepared->count - 1; i > 0; i--) {
            uint32_t j = (uint32_t)(draw(&prepared->random) % (i + 1));
            uint32_t kept = prepared->order[i];
            prepared->order[i] = prepared->order[j];
            prepared->order[j] = kept;
        }
    return prepared->order[at];
}

int64_t *draw_arrivals(Prepared *prepared, double rate, double seconds, size_t *count) {
    double at_s = 0;
    size_t capacity = 1024;
    int64_t *arrivals = malloc(capacity * sizeof(int64_t));
    for (*count = 0;; arrivals[(*count)++] = (int64_t)(at_s * 1e9)) {
        double uniform = ((double)(draw(&prepared->random) >> 11) + 1) / 9007199254740993.0;
        at_s -= log(uniform) / rate;
        if (at_s >= seconds) return arrivals;
        if (*count == capacity) arrivals = realloc(arrivals, (capacity *= 2) * sizeof(int64_t));
    }
}
