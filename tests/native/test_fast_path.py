"""The fast path takes what it was taught, by its words, and leaves all else to Python."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from service import native
from service.errors import OverloadedError
from service.lane.heads import READER
from service.telemetry.tally import SECONDS
from tests.engine.harness import Observed
from tests.fakes import SumModel, make_manifest

MODEL = "sum 1 abc"
BODY = b'{"inputs":[{"name":"inputs","shape":[1,2,2],"datatype":"FP32","data":[1,2,3,4]}]}'
WORDS = b"POST /infer HTTP/1.1\r\nHost: here\r\n"


def whole(body: bytes = BODY, words: bytes = WORDS, length: str = "") -> bytes:
    size = length or str(len(body))
    return words + f"Content-Length: {size}\r\nAccept: */*\r\n\r\n".encode() + body


class Taught:
    """A fast path that knows some words, and its engine, which has no threads."""

    def __init__(self, timeout_s: float = 30.0, max_body_bytes: int = 1 << 20) -> None:
        self.served = Observed(SumModel(make_manifest("sequences")), max_queue_size=3)
        self.engine = native.Engine(1)
        self.engine.add(self.served.core, "sum")
        self.path = native.FastPath(self.engine, READER, timeout_s, max_body_bytes)
        self.path.default_lines = b"date: now\r\n"

    def learn_head(self, words: bytes = WORDS, head_id: int = 7, **changes: Any) -> None:
        about = {"model": MODEL, "keep_alive": True, "json_bytes": -1, **changes}
        self.path.learn_head(whole(b"", words), native.HotHead(head_id, **about))

    def learn_plan(self, body: bytes = BODY, json_bytes: int = -1, **changes: Any) -> None:
        about: dict[str, Any] = {
            "is_text": json_bytes < 0,
            "num_bytes": 0,
            "inputs_start": 0,
            "batch": 1,
            "steps": 2,
            "features": 2,
            "lengths": [2],
            "lengths_start": 0,
            "scheduler": self.served.core,
            "max_length": 1_000,
            "priority": 2,
            "timeout_s": 20.0,
            "header_lines": b"content-type: application/json\r\n",
            "before_id": b"",
            "pieces": [(b'{"data":[', 0, False)],
            "behind": b"]}",
            "elapsed_s": native.Distribution(SECONDS),
            **changes,
        }
        self.path.learn_plan(MODEL, body, json_bytes, native.Plan(**about))

    def takes(self, data: bytes) -> native.Job | None:
        """The job, if these bytes are taken as a whole."""
        received = self.path.receive(data)
        if received is None:
            return None
        num_bytes, head_id, _, job, refusal, _ = received
        assert (num_bytes, head_id, refusal) == (len(data), 7, None)
        assert job is not None
        assert self.engine.give_up(job)
        return job


@pytest.fixture
def taught() -> Taught:
    taught = Taught()
    taught.learn_head()
    taught.learn_plan()
    return taught


def test_it_takes_what_is_whole_and_leaves_what_comes_behind(taught: Taught) -> None:
    request = whole()
    for stop in range(len(request)):
        assert taught.path.receive(request[:stop]) is None
    assert taught.takes(request) is not None
    for rest in (b"x", request, request[:50]):
        received = taught.path.receive(request + rest)
        assert received is not None
        assert received[0] == len(request)
        assert received[3] is not None
        taught.engine.give_up(received[3])


def test_other_numbers_are_the_same_words(taught: Taught) -> None:
    for numbers in (b"[0,0,0,0]", b"[ -1.5 , 2e3,\n3, 4 ]", b"[1.00000000000000000001,2,3,4]"):
        assert taught.takes(whole(BODY.replace(b"[1,2,3,4]", numbers))) is not None


def test_other_ids_and_headers_that_do_not_matter_are_the_same_words(taught: Taught) -> None:
    taught.learn_plan(b'{"id":"",' + BODY[1:], before_id=b'{"id":"', pieces=[])
    for number in range(9_000):
        words = b"traceparent: 00-%d-01\r\n%bx-Request-id: %d\r\n" % (number, b"A:\r\n", number)
        body = b'{"id":"number %d",' % number + BODY[1:]
        job = taught.takes(whole(body, WORDS + words))
        assert job is not None
        assert job.request_id == str(number)
    assert taught.takes(whole().replace(b"Content-Length", b"content-LENGTH")) is not None


@pytest.mark.parametrize(
    "request_",
    [
        whole(BODY.replace(b"[1,2,3,4]", b"[1,2,3]")),
        whole(BODY.replace(b"[1,2,3,4]", b"[1,2,3,4,5]")),
        whole(BODY.replace(b"[1,2,3,4]", b"[1,2,3,1e39]")),
        whole(BODY.replace(b"[1,2,3,4]", b"[[1,2],[3,4]]")),
        whole(BODY.replace(b"[1,2,3,4]", b"[1,2,3,4")),
        whole(BODY.replace(b"[1,2,2]", b"[1,2,3]")),
        whole(BODY + b" "),
        whole(b" " + BODY),
        whole(b""),
        whole(words=WORDS.replace(b"/infer", b"/infer?x=1")),
        whole(words=WORDS + b"Content-Type: text/plain\r\n"),
        whole(words=WORDS.replace(b"POST", b"GET")),
        whole(words=WORDS + b"Content-Length: 3\r\n"),
        whole(words=WORDS + b"content-length: 3\r\n"),
        whole().replace(b"\r\n", b"\n"),
        *(
            whole(length=length)
            for length in ("", "+80", "-80", "8 0", "80 ", "80,80", "0x50", "9" * 9, "9" * 30, "٣")
            if length
        ),
    ],
)
def test_what_differs_in_anything_else_is_not_taken(taught: Taught, request_: bytes) -> None:
    assert taught.takes(request_) is None


def test_a_length_means_what_it_says(taught: Taught) -> None:
    assert taught.takes(whole(length=f"{len(BODY):09}")) is not None
    assert taught.takes(whole(length=f"{len(BODY):010}")) is None
    assert taught.takes(whole(length=str(len(BODY) + 1)) + b" ") is None


def test_what_was_taught_for_another_model_is_not_meant(taught: Taught) -> None:
    other = WORDS.replace(b"infer", b"other")
    taught.learn_head(other, 7, model="other 1 abc")
    assert taught.takes(whole(words=other)) is None
    assert taught.takes(whole()) is not None


def test_what_is_forgotten_is_learned_again(taught: Taught) -> None:
    taught.path.forget()
    assert taught.takes(whole()) is None
    taught.learn_head()
    assert taught.takes(whole()) is None
    taught.learn_plan()
    assert taught.takes(whole()) is not None


def test_what_is_known_takes_no_more_room_than_it_may(taught: Taught) -> None:
    for number in range(5_000):
        taught.learn_head(WORDS + b"Content-Type: %d\r\n" % number)
    assert taught.takes(whole()) is None
    taught.learn_head()
    assert taught.takes(whole()) is not None
    for number in range(9_000):
        taught.learn_plan(BODY[:-1] + b',"id":%d}' % number)
    assert taught.takes(whole()) is None
    taught.learn_plan()
    assert taught.takes(whole()) is not None
    for many in (b'"id":"%b",' % (b"x" * 1_100), b" " * 1_100):
        for body in (b"{" + many + BODY[1:], BODY[:-1] + b" " * 1_100 + b"}"):
            taught.learn_plan(body)
            assert taught.takes(whole(body)) is None
    for name, size in ((b"X", 8_200), (b"Content-Type", 2_100)):
        long = WORDS + b"%b: %b\r\n" % (name, b"x" * size)
        taught.learn_head(long)
        assert taught.takes(whole(words=long)) is None


def test_words_that_came_once_are_not_worth_a_plan(taught: Taught) -> None:
    assert [taught.path.comes_again(MODEL, BODY, -1) for _ in range(3)] == [False, True, True]
    other = BODY.replace(b"[1,2,3,4]", b"[9]")
    assert taught.path.comes_again(MODEL, other, -1), "other numbers, the same words"
    assert not taught.path.comes_again("other", BODY, -1)
    assert not taught.path.comes_again(MODEL, BODY[:-1] + b" }", -1)
    assert not taught.path.comes_again(MODEL, b"{}", -1)
    assert not taught.path.comes_again(MODEL, b"{}", -1), "it has no numbers"


def test_a_body_over_the_limit_is_not_taken() -> None:
    for limit in (len(BODY), len(BODY) - 1):
        taught = Taught(max_body_bytes=limit)
        taught.learn_head()
        taught.learn_plan()
        assert (taught.takes(whole()) is not None) == (limit == len(BODY))


def test_the_job_is_the_one_that_is_asked_for(taught: Taught) -> None:
    blobs = np.arange(12, dtype="<f4").tobytes() + np.array([2, 3], dtype="<i8").tobytes()
    words = b'{"inputs": binary}'
    taught.learn_plan(
        words + blobs, len(words), num_bytes=len(blobs), batch=2, steps=3, lengths=[],
        lengths_start=48, priority=3, timeout_s=5.0,
    )  # fmt: skip
    taught.learn_head(json_bytes=len(words), keep_alive=False)
    job = taught.takes(whole(words + blobs, WORDS + b"X-Request-ID: mine\r\n"))
    assert job is not None
    assert (job.num_sequences, job.num_cells, job.priority) == (2, 5, 3)
    assert (job.request_id, job.keep_alive) == ("mine", False)
    assert job.deadline_s - job.submitted_s == pytest.approx(5.0)
    assert abs(time.perf_counter() - job.submitted_s) < 5.0
    for lengths in ([0, 3], [2, 4], [-1, 2], [1 << 62, 1]):
        spoiled = blobs[:48] + np.array(lengths, dtype="<i8").tobytes()
        assert taught.takes(whole(words + spoiled)) is None
    for spoiled in (blobs[:-1], blobs + b"!", blobs[:4], b""):
        assert taught.takes(whole(words + spoiled)) is None


def test_a_full_queue_and_a_late_engine_refuse_it(taught: Taught) -> None:
    for _ in range(3):
        received = taught.path.receive(whole())
        assert received is not None
        assert received[4] is None
    received = taught.path.receive(whole())
    assert received is not None
    assert isinstance(received[4], OverloadedError)
    assert "0 of 3 places are free" in received[4].message
    impatient = Taught(timeout_s=1.0)
    impatient.learn_head()
    impatient.engine.note_lag(7.0)
    mine = WORDS + b"x-request-id: mine\r\n"
    received = impatient.path.receive(whole(b"its words need not be known", mine))
    assert received is not None
    assert received[2:4] == (b"mine", None)
    assert isinstance(received[4], OverloadedError)
    assert received[4].retry_after_s == 13  # twice that lag, of which it may take one second


def test_a_closed_engine_takes_nothing(taught: Taught) -> None:
    taught.engine.close()
    assert taught.takes(whole()) is None
