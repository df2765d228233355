"""A log that nobody reads holds up nobody, and says what it is missing when it is read again."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.telemetry.log_writer import BURST
from tests.http.made import copy_bundle
from tests.http.payloads import frames, infer_body, infer_path
from tests.monitoring.unread import Unread, unread
from tests.servers import STOP_S, wait_until

MODEL = "digits-lstm"


def check_answers(server: Unread, count: int) -> None:
    """Health says 200 all the while, and inference answers."""
    body = infer_body(frames(3))
    for _ in range(count):
        assert server.client.get("/v2/health/live").status_code == 200
        assert server.client.post(infer_path(), json=body).status_code == 200


@pytest.mark.parametrize(("access_log", "workers"), [(False, 1), (True, 1), (True, 2)])
def test_a_log_that_nobody_reads_holds_up_nobody(
    tmp_path: Path, access_log: bool, workers: int
) -> None:
    copy_bundle(MODEL, tmp_path / "repository")
    num_malformed = 2_000 // (1 + 3 * (workers == 2))
    with unread(tmp_path / "repository", access_log=access_log, workers=workers) as server:
        with ThreadPoolExecutor(4) as pool:
            sending = [pool.submit(server.send, num_malformed // 4) for _ in range(4)]
            while not all(each.done() for each in sending):
                check_answers(server, 5)
            for each in sending:
                each.result()
        if access_log:
            long = f"/v2/models/{'x' * 7_000}/infer"
            while server.dropped()["full"] == 0:
                for _ in range(20):
                    assert server.client.post(long).status_code == 404
        check_answers(server, 5)
        dropped = server.dropped()
        assert dropped["often"] > num_malformed - workers * BURST - 200
        # it is read again
        reading = threading.Thread(target=lambda: [None for _ in iter(server.read, False)])
        reading.start()
        wait_until(lambda: b"log lines dropped" in server.log)
        server.client.close()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(STOP_S) == 0
        reading.join(STOP_S)
    told = sum(entry.get("dropped", 0) for entry in server.entries())
    assert 0 < told <= sum(dropped.values()) + 1_000
    malformed = [it for it in server.entries() if it["event"].startswith("Invalid HTTP")]
    assert 0 < len(malformed) < workers * BURST + 200
    assert "Finished server process" in server.log.decode()


@pytest.mark.parametrize("again", [1, 3], ids=["SIGTERM", "three signals"])
def test_a_log_that_nobody_reads_does_not_keep_the_server_from_ending(
    tmp_path: Path, again: int
) -> None:
    copy_bundle(MODEL, tmp_path / "repository")
    with unread(tmp_path / "repository", access_log=True) as server:
        while server.dropped()["full"] == 0:
            for _ in range(20):
                server.client.post(f"/v2/models/{'x' * 7_000}/infer")
        server.client.close()
        for _ in range(again):
            server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(STOP_S) in ([0] if again == 1 else [0, 1])
