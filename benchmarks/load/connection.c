#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void open_connection(Connection *connection, const struct sockaddr_in *address, int poller) {
    int one = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) die("no", "socket");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connection->answered = 0;
    connection->state = IDLE;
    // a refusal shows itself at the first send
    connect(connection->fd, (const struct sockaddr *)address, sizeof *address);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event)) die("can't watch a", "socket");
}

void close_connection(Connection *connection) {
    close(connection->fd);
    connection->state = CLOSED;
    clear_answer(&connection->answer);
}

static int lost(ssize_t moved) {
    return moved == 0 || (moved < 0 && errno != EAGAIN && errno != EINTR);
}

int send_rest(Connection *connection, const Request *request) {
    while (connection->sent < request->size) {
        ssize_t moved = send(connection->fd, request->bytes + connection->sent,
                             request->size - connection->sent, MSG_NOSIGNAL);
        if (moved <= 0) return lost(moved) ? MALFORMED : INCOMPLETE;
        connection->sent += (size_t)moved;
    }
    return COMPLETE;
}

int advance(Connection *connection, const Request *request) {
    int refused_early = send_rest(connection, request) == MALFORMED;
    Answer *answer = &connection->answer;
    for (;;) {  // read even if sending failed: a server may answer 413 or 429 and close
        grow_answer(answer, 65536);
        ssize_t moved =
            recv(connection->fd, answer->bytes + answer->size, answer->capacity - answer->size - 1, 0);
        if (moved <= 0) return lost(moved) || refused_early ? MALFORMED : INCOMPLETE;
        answer->size += (size_t)moved;
        int parsed = parse_answer(answer);
        if (parsed == COMPLETE && connection->sent < request->size) answer->closes = 1;
        if (parsed != INCOMPLETE) return parsed;
    }
}
