// One keep-alive connection: it sends one request at a time and reads its answer.
#ifndef CONNECTION_H
#define CONNECTION_H

#include <netinet/in.h>
#include <stdint.h>

#include "answer.h"
#include "prepared.h"

typedef enum { CLOSED, IDLE, BUSY } State;

typedef struct {
    int fd;
    State state;
    int answered;  // requests on this socket so far: a used one may be closed while idle
    uint32_t request;
    int64_t since_ns;  // its scheduled arrival; in a closed loop, when it was sent
    size_t sent;
    Answer answer;
} Connection;

// Connect without waiting and watch the socket; it may be written to at once.
void open_connection(Connection *connection, const struct sockaddr_in *address, int poller);

void close_connection(Connection *connection);

// Write what the socket takes: INCOMPLETE, COMPLETE or MALFORMED (lost).
int send_rest(Connection *connection, const Request *request);

// Write and read what the socket takes and gives: INCOMPLETE, COMPLETE or MALFORMED (also: lost).
int advance(Connection *connection, const Request *request);

#endif
