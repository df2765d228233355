#include "tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void add_latency(Series *series, double latency_ms) {
    if (series->count == series->capacity) {
        series->capacity = 2 * series->capacity + 1024;
        series->values = realloc(series->values, series->capacity * sizeof(float));
        if (!series->values) abort();
    }
    series->values[series->count++] = (float)latency_ms;
}

static int by_size(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static double percentile(const Series *series, double percent) {
    size_t rank = (size_t)(percent / 100 * (double)(series->count - 1) + 0.5);
    return series->values[rank];
}

static void print_series(Series *series) {
    static const double percents[] = {50, 90, 99, 99.9, 100};
    static const char *names[] = {"p50", "p90", "p99", "p99_9", "max"};
    if (series->count) qsort(series->values, series->count, sizeof(float), by_size);
    printf("{\"count\": %zu", series->count);
    for (int i = 0; i < 5 && series->count; i++)
        printf(", \"%s\": %.4f", names[i], percentile(series, percents[i]));
    printf("}");
}

void print_tally(Tally *tally) {
    Series all = {0};
    printf("{\"seconds\": %.3f, \"answers\": %" PRIu64 ", \"offered\": %" PRIu64 ", \"errors\": %" PRIu64
           ", \"unanswered\": %" PRIu64 ", \"dropped\": %" PRIu64 ", \"reconnects\": %" PRIu64
           ", \"throughput\": %.3f, \"goodput\": %.3f, \"cpu_s\": %.4f, \"statuses\": {",
           tally->seconds, tally->answers, tally->offered, tally->errors, tally->unanswered, tally->dropped,
           tally->reconnects, (double)tally->completed / tally->seconds,
           (double)tally->in_time / tally->seconds, tally->cpu_s);
    const char *comma = "";
    for (int status = 0; status < MAX_STATUS; status++)
        if (tally->statuses[status]) {
            printf("%s\"%d\": %" PRIu64, comma, status, tally->statuses[status]);
            comma = ", ";
        }
    printf("}, \"groups\": {");
    comma = "";
    for (int group = 0; group < MAX_GROUPS; group++) {
        Series *series = &tally->groups[group];
        for (size_t i = 0; i < series->count; i++) add_latency(&all, series->values[i]);
        if (!series->count) continue;
        printf("%s\"%d\": ", comma, group);
        print_series(series);
        comma = ", ";
    }
    printf("}, \"refused_latency_ms\": ");
    print_series(&tally->refused);
    printf(", \"latency_ms\": ");
    print_series(&all);
    printf("}\n");
}
