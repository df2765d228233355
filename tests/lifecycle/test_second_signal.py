"""A second signal while a run is under way: who waits is told so, and the process ends at once."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faults.asking import ask
from tests.faults.made import POISON, always_looping, deaf, looping, write_faulty
from tests.http.work import has_taken
from tests.servers import serving, wait_until

SOON_S = 8.0


@pytest.mark.parametrize(
    ("number", "value", "settings"),
    [(signal.SIGTERM, POISON, {}), (signal.SIGINT, 8_000.0, {"grpc_port": 0})],
    ids=["SIGTERM, a run that can be ended", "SIGINT, with gRPC, one that can't"],
)
def test_a_second_signal_ends_it_though_a_run_is_under_way(
    tmp_path: Path, number: signal.Signals, value: float, settings: dict[str, Any]
) -> None:
    write_faulty(tmp_path, slow=looping() if value == POISON else deaf())
    with serving(tmp_path, engine_threads=1, **settings) as server, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, server, "slow", value)
        wait_until(lambda: has_taken(server, "slow", 1))
        server.process.send_signal(number)
        server.wait_for_event("Shutting down")
        assert not asked.done()
        began_s = time.monotonic()
        server.process.send_signal(number)
        assert server.wait() == 0
        assert time.monotonic() - began_s < SOON_S
        response = asked.result()
        assert (response.status_code, response.json()["code"]) == (503, "draining")
        assert int(response.headers["Retry-After"]) >= 1


def test_a_graph_that_hangs_at_load_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with serving(write_faulty(tmp_path, hung=always_looping()), ready=False) as server:
        server.wait_for_line(lambda line: "startup complete" in line)
        server.terminate()
        assert server.wait() == 0
        assert "model refused" not in server.log
