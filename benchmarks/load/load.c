// A cheap HTTP/1.1 load generator: closed loop, or open loop with Poisson arrivals.
//
// One thread and one epoll. The latency of an open loop counts from the scheduled arrival, so that
// a slow server can't slow its own clock down. The caller prepares every request's bytes.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "tally.h"

#define PAUSE_NS 10000000  // before a refused connection is tried again
#define MAX_EVENTS 256

typedef struct {
    struct sockaddr_in address;
    const char *requests, *answers;
    int connections, once, drop;
    double seconds, warmup_s, drain_s, rate, deadline_ms;
    uint64_t seed;
} Options;

typedef struct {
    Options options;
    Prepared prepared;
    Tally tally;
    Connection *connections, **idle, **resting;
    int num_idle, num_resting, num_busy, poller, timer;
    int64_t *arrivals;  // ns from the start
    size_t num_arrivals, head, tail;  // head..tail wait for a connection
    int64_t start_ns, from_ns, until_ns;  // the window that counts
    double cpu_before_s;
    unsigned char *seen;
    uint32_t num_seen;
    FILE *answers;
} Load;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double own_cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static Options parse_options(int count, char **words) {
    Options options = {.connections = 1, .seconds = 5, .drain_s = 5, .deadline_ms = 1e12};
    options.address.sin_family = AF_INET;
    for (int i = 1; i + 1 < count; i += 2) {
        const char *name = words[i], *value = words[i + 1];
        if (!strcmp(name, "--host")) inet_pton(AF_INET, value, &options.address.sin_addr);
        else if (!strcmp(name, "--port")) options.address.sin_port = htons((uint16_t)atoi(value));
        else if (!strcmp(name, "--requests")) options.requests = value;
        else if (!strcmp(name, "--answers")) options.answers = value;
        else if (!strcmp(name, "--connections")) options.connections = atoi(value);
        else if (!strcmp(name, "--seconds")) options.seconds = atof(value);
        else if (!strcmp(name, "--warmup")) options.warmup_s = atof(value);
        else if (!strcmp(name, "--drain")) options.drain_s = atof(value);
        else if (!strcmp(name, "--rate")) options.rate = atof(value);
        else if (!strcmp(name, "--deadline-ms")) options.deadline_ms = atof(value);
        else if (!strcmp(name, "--seed")) options.seed = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--once")) options.once = atoi(value);
        else if (!strcmp(name, "--drop-when-busy")) options.drop = atoi(value);
        else die("unknown option", name);
    }
    if (count % 2 == 0 || !options.requests || !options.address.sin_port) die("see", "load.c");
    return options;
}

static void keep_answer(Load *load, Connection *connection) {
    if (!load->answers || load->seen[connection->request]) return;
    load->seen[connection->request] = 1;
    load->num_seen++;
    Answer *answer = &connection->answer;
    uint32_t body = (uint32_t)unchunk_body(answer), head = (uint32_t)answer->head_size;
    uint32_t numbers[] = {connection->request, (uint32_t)answer->status, head, body};
    fwrite(numbers, sizeof numbers, 1, load->answers);
    fwrite(answer->bytes, 1, head + body, load->answers);
}

static int counts(const Load *load, int64_t since_ns, int64_t now) {
    int64_t when = load->options.rate > 0 ? since_ns : now;
    return when >= load->from_ns && when < load->until_ns;
}

static void tally_answer(Load *load, const Connection *connection, int64_t now) {
    Tally *tally = &load->tally;
    double latency_ms = (double)(now - connection->since_ns) / 1e6;
    int ok = connection->answer.status == 200;
    tally->answers += ok;
    if (ok && now >= load->from_ns && now < load->until_ns) {
        tally->completed++;
        tally->in_time += latency_ms <= load->options.deadline_ms;
    }
    if (!counts(load, connection->since_ns, now)) return;
    tally->statuses[connection->answer.status]++;
    uint32_t group = load->prepared.requests[connection->request].group;
    add_latency(ok ? &tally->groups[group] : &tally->refused, latency_ms);
}

static void lose(Load *load, Connection *connection);

// Only send: an answer is read when the poller says so. A server that is scheduled before this
// process would else answer within the call, and one connection would keep all others waiting.
static void send_request(Load *load, Connection *connection) {
    connection->sent = 0;
    connection->state = BUSY;
    if (send_rest(connection, &load->prepared.requests[connection->request]) == MALFORMED)
        lose(load, connection);
}

static void start_request(Load *load, Connection *connection, int64_t since_ns) {
    connection->request = next_request(&load->prepared, !load->options.once);
    connection->since_ns = since_ns;
    load->num_busy++;
    send_request(load, connection);
}

// Arrivals of an open loop that are due.
static void take_arrivals(Load *load, int64_t now) {
    while (load->tail < load->num_arrivals && load->start_ns + load->arrivals[load->tail] <= now)
        load->tail++;
}

// What came while all connections were busy, if it is not to wait.
static void drop_arrivals(Load *load, int64_t now) {
    if (!load->options.drop || load->num_idle) return;
    take_arrivals(load, now);
    for (; load->head < load->tail; load->head++)
        load->tally.dropped += load->start_ns + load->arrivals[load->head] >= load->from_ns;
}

static void be_idle(Load *load, Connection *connection, int64_t now) {
    drop_arrivals(load, now);
    load->idle[load->num_idle++] = connection;
}

static void finish(Load *load, Connection *connection) {
    int64_t now = now_ns();
    int closes = connection->answer.closes;
    tally_answer(load, connection, now);
    keep_answer(load, connection);
    clear_answer(&connection->answer);
    connection->answered++;
    connection->state = IDLE;
    load->num_busy--;
    if (closes) {
        close_connection(connection);
        open_connection(connection, &load->options.address, load->poller);
    }
    be_idle(load, connection, now);
}

static void lose(Load *load, Connection *connection) {
    int closed_while_idle = connection->answered && !connection->answer.size;
    close_connection(connection);
    if (closed_while_idle) {  // not the request's fault: it goes out again on a new socket
        load->tally.reconnects++;
        open_connection(connection, &load->options.address, load->poller);
        send_request(load, connection);
        return;
    }
    load->tally.errors += counts(load, connection->since_ns, now_ns());
    load->num_busy--;
    load->resting[load->num_resting++] = connection;
}

static void step(Load *load, Connection *connection) {
    int moved = advance(connection, &load->prepared.requests[connection->request]);
    if (moved == COMPLETE) finish(load, connection);
    if (moved == MALFORMED) lose(load, connection);
}

// Give what waits to the idle connections: the arrivals so far, or in a closed loop anything.
static void feed(Load *load, int64_t now) {
    if (load->options.rate <= 0) {
        uint32_t left = load->options.once ? load->prepared.count - load->prepared.next : 1;
        for (; load->num_idle && left && now < load->until_ns; left -= load->options.once ? 1 : 0)
            start_request(load, load->idle[--load->num_idle], now_ns());
        return;
    }
    take_arrivals(load, now);
    for (; load->num_idle && load->head < load->tail; load->head++)
        start_request(load, load->idle[--load->num_idle], load->start_ns + load->arrivals[load->head]);
    drop_arrivals(load, now);
}

static void wake_rested(Load *load, int64_t now, int64_t *rested_ns) {
    if (!load->num_resting || now - *rested_ns < PAUSE_NS) return;
    *rested_ns = now;
    while (load->num_resting) {
        Connection *connection = load->resting[--load->num_resting];
        open_connection(connection, &load->options.address, load->poller);
        be_idle(load, connection, now);
    }
}

static int is_over(const Load *load, int64_t now) {
    if (load->options.once && load->num_seen == load->prepared.count) return 1;
    if (now < load->until_ns) return 0;
    int drained = load->head == load->num_arrivals && !load->num_busy;
    return drained || now >= load->until_ns + (int64_t)(load->options.drain_s * 1e9);
}

// Wake for the next arrival, if it can be sent: else whoever answers wakes.
static void arm_timer(Load *load) {
    if (load->tail >= load->num_arrivals || !load->num_idle) return;
    int64_t at = load->start_ns + load->arrivals[load->tail];
    struct itimerspec next = {.it_value = {at / 1000000000, at % 1000000000}};
    timerfd_settime(load->timer, TFD_TIMER_ABSTIME, &next, NULL);
}

static void run(Load *load) {
    struct epoll_event events[MAX_EVENTS];
    int64_t rested_ns = 0, now;
    while (!is_over(load, now = now_ns())) {
        if (!load->cpu_before_s && now >= load->from_ns) load->cpu_before_s = own_cpu_s();
        if (!load->tally.cpu_s && now >= load->until_ns)
            load->tally.cpu_s = own_cpu_s() - load->cpu_before_s;
        wake_rested(load, now, &rested_ns);
        feed(load, now);
        arm_timer(load);
        int count = epoll_wait(load->poller, events, MAX_EVENTS, 10);
        for (int i = 0; i < count; i++) {
            uint64_t expirations;
            Connection *connection = events[i].data.ptr;
            if (!connection) (void)!read(load->timer, &expirations, sizeof expirations);
            else if (connection->state == BUSY) step(load, connection);
        }
    }
    if (!load->tally.cpu_s) load->tally.cpu_s = own_cpu_s() - load->cpu_before_s;
}

static void prepare(Load *load) {
    Options *options = &load->options;
    load->prepared = read_prepared(options->requests, options->seed);
    if (options->rate > 0)
        load->arrivals = draw_arrivals(&load->prepared, options->rate,
                                       options->warmup_s + options->seconds, &load->num_arrivals);
    if (options->answers && !(load->answers = fopen(options->answers, "wb")))
        die("can't write", options->answers);
    if (options->once && !options->answers) die("once needs", "--answers");
    load->seen = calloc(load->prepared.count, 1);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    load->poller = epoll_create1(EPOLL_CLOEXEC);
    load->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event tick = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(load->poller, EPOLL_CTL_ADD, load->timer, &tick);
    size_t count = (size_t)options->connections;
    load->connections = calloc(count, sizeof *load->connections);
    load->idle = calloc(count, sizeof *load->idle);
    load->resting = calloc(count, sizeof *load->resting);
    for (size_t i = 0; i < count; i++) {
        open_connection(&load->connections[i], &options->address, load->poller);
        load->idle[load->num_idle++] = &load->connections[i];
    }
}

// Requests of the window that nobody answered: they count with the age they have reached.
static void count_unanswered(Load *load) {
    int64_t now = now_ns();
    for (int i = 0; i < load->options.connections; i++) {
        Connection *connection = &load->connections[i];
        if (connection->state != BUSY || !counts(load, connection->since_ns, now)) continue;
        load->tally.unanswered++;
        uint32_t group = load->prepared.requests[connection->request].group;
        add_latency(&load->tally.groups[group], (double)(now - connection->since_ns) / 1e6);
    }
    for (size_t i = load->head; i < load->num_arrivals; i++) {
        int64_t since_ns = load->start_ns + load->arrivals[i];
        if (since_ns < load->from_ns) continue;
        load->tally.unanswered++;
        uint32_t request = next_request(&load->prepared, 1);
        add_latency(&load->tally.groups[load->prepared.requests[request].group],
                    (double)(now - since_ns) / 1e6);
    }
    for (size_t i = 0; i < load->num_arrivals; i++)
        load->tally.offered += load->start_ns + load->arrivals[i] >= load->from_ns;
}

int main(int count, char **words) {
    Load load = {.options = parse_options(count, words)};
    prepare(&load);
    load.start_ns = now_ns();
    load.from_ns = load.start_ns + (int64_t)(load.options.warmup_s * 1e9);
    load.until_ns = load.from_ns + (int64_t)(load.options.seconds * 1e9);
    load.tally.seconds = load.options.seconds;
    run(&load);
    count_unanswered(&load);
    if (load.answers) fclose(load.answers);
    print_tally(&load.tally);
    return 0;
}
