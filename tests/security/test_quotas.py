"""Rates and concurrency, counted for all processes together."""

from __future__ import annotations

import mmap
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from service import native

S = 1_000_000_000


def quota(
    words: mmap.mmap, process: int = 0, num_processes: int = 1, **limits: float
) -> native.Quota:
    return native.Quota(
        words=words,
        num_processes=num_processes,
        process=process,
        requests_per_s=limits.get("requests_per_s", 0.0),
        burst=limits.get("burst", 1.0),
        max_concurrent=int(limits.get("max_concurrent", 0)),
    )


@given(
    st.sampled_from([0.5, 1.0, 3.0, 100.0]),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3 * S)), max_size=60),
)
def test_in_no_time_are_there_more_than_the_bucket_and_its_refill(
    rate: float, burst: int, comes: list[tuple[int, int]]
) -> None:
    words = mmap.mmap(-1, 8 * 4)
    three = [quota(words, each, 3, requests_per_s=rate, burst=burst) for each in range(3)]
    now_ns, admitted = 10 * S, []
    for process, gap_ns in comes:
        now_ns += gap_ns
        wait_ns = three[process].take(now_ns)
        assert wait_ns is not None
        if wait_ns == 0:
            admitted.append(now_ns)
        else:
            assert three[process].take(now_ns + wait_ns - 1) != 0
            now_ns += wait_ns
            assert three[process].take(now_ns) == 0, "it may come when it was told"
            admitted.append(now_ns)
    for first, began_ns in enumerate(admitted):
        for last, ended_ns in enumerate(admitted[first:], first):
            allowed = burst + (ended_ns - began_ns) / S * rate
            assert last - first + 1 <= allowed + 1e-3


def test_a_rate_that_was_slow_is_not_owed_for_when_it_is_fast() -> None:
    words = mmap.mmap(-1, 16)
    assert quota(words, requests_per_s=0.001, burst=1).take(S) == 0
    fast = quota(words, requests_per_s=1_000, burst=1)
    assert fast.take(S) == S // 1_000, "as if its bucket were empty, no worse"
    assert fast.take(S + S // 1_000) == 0


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=60))
def test_never_more_at_a_time_than_allowed(most: int, steps: list[tuple[bool, int]]) -> None:
    words = mmap.mmap(-1, 8 * 4)
    three = [quota(words, each, 3, max_concurrent=most) for each in range(3)]
    under_way: Counter[int] = Counter()
    for comes, process in steps:
        if comes:
            admitted = three[process].take(0) == 0
            assert admitted == (under_way.total() < most)
            under_way[process] += admitted
        elif under_way[process]:
            three[process].leave()
            under_way[process] -= 1


def test_threads_take_no_token_twice() -> None:
    words = mmap.mmap(-1, 8 * 5)
    start = threading.Barrier(4)

    def take(process: int) -> int:
        mine = quota(words, process, 4, requests_per_s=1.0, burst=500)
        start.wait()
        return sum(mine.take(S) == 0 for _ in range(400))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take, range(4))) == 500
