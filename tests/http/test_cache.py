"""With a cache, what comes again is not computed again; without one, it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.made import FAILS, OVERFLOWS, copy_bundle, make_bundle, steps
from tests.http.payloads import frames, infer_body, infer_path, predict_body, predict_path
from tests.http.scrape import Scrape
from tests.http.work import post
from tests.servers import serving

MODEL = "digits-lstm"


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_the_same_again(tmp_path: Path, cache_bytes: int) -> None:
    copy_bundle(MODEL, tmp_path / "repository")
    with serving(tmp_path / "repository", cache_bytes=cache_bytes) as server:
        answers = [
            server.client.post(predict_path(MODEL), json=predict_body(frames(20), top_k=3)),
            server.client.post(predict_path(MODEL), json=predict_body(frames(20), top_k=3)),
            server.client.post(infer_path(MODEL), json=infer_body(frames(20))),  # the same to run
            server.client.post(infer_path(MODEL), json=infer_body(frames(21))),
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert answers[0].content == answers[1].content
        scrape = Scrape(server)
        ran = scrape("seqserve_queue_duration_seconds_count", model=MODEL)
        assert ran == (2 if cache_bytes else 4)
        hits = scrape("seqserve_cache_requests_total", result="hit")
        misses = scrape("seqserve_cache_requests_total", result="miss")
        assert (hits, misses) == ((2, 2) if cache_bytes else (0, 0))
        assert bool(scrape("seqserve_cache_bytes")) == bool(cache_bytes)
        assert scrape("seqserve_requests_total", outcome="ok") == 4


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    make_bundle(tmp_path / "repository")
    with serving(tmp_path / "repository", cache_bytes=1 << 20, failures_expected=True) as server:
        for kind, status in ((FAILS, 500), (OVERFLOWS, 422)):
            for _ in range(2):
                assert post(server, "made", [steps(kind)]).status_code == status
        scrape = Scrape(server)
        assert scrape("seqserve_cache_requests_total", result="hit") == 0
        assert scrape("seqserve_cache_bytes") == 0
