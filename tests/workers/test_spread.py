"""Connections are spread by how many each worker has, as of now."""

from __future__ import annotations

import contextlib
import socket

from tests.http.refusals import check_serving
from tests.servers import Server, wait_until
from tests.workers.processes import LSTM, connections, forget_connections, held_open


def test_connections_are_spread_evenly_however_few(server: Server) -> None:
    forget_connections(server)
    for count in (2, 8, 64):
        wait_until(lambda: not any(connections(server).values()))
        with held_open(server, count):
            assert connections(server) == {0: count // 2, 1: count // 2}


def test_what_is_closed_counts_no_more_at_once(server: Server) -> None:
    forget_connections(server)
    with held_open(server, 8) as clients:
        for client in clients[::2]:  # all of one worker
            client.close()
        while sum(connections(server).values()) > 4:
            pass  # no pause: the workers' regular report must not come first
        address = ("127.0.0.1", int(server.base_url.rpartition(":")[2]))
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(socket.create_connection(address))
            wait_until(lambda: sum(connections(server).values()) == 8)
            assert connections(server) == {0: 4, 1: 4}
        check_serving(clients[1], LSTM)
