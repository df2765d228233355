"""Connections go where there are fewest, whatever opens, closes, loads and dies."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from service.workers.balance import MAX_UNDER_WAY, Share, choose
from service.workers.channel import Report

LOADED = Report(0, 0, loaded=True)


def hand(share: Share, turn: int) -> None:
    share.handed += 1
    share.turn = turn


def take(share: Share, num_open: int) -> None:
    assert share.report is not None
    share.report = share.report._replace(taken=share.handed, num_open=num_open)


@given(st.integers(1, 9), st.integers(0, 60))
def test_those_that_stay_open_are_spread_evenly(workers: int, connections: int) -> None:
    shares = [Share(report=LOADED) for _ in range(workers)]
    for turn in range(1, connections + 1):
        chosen = choose(shares)
        assert chosen is not None
        hand(chosen, turn)
    counts = [share.num_connections for share in shares]
    assert sum(counts) == connections
    assert max(counts) - min(counts) <= 1


@given(st.integers(1, 9), st.integers(0, 60))
def test_those_that_close_at_once_are_spread_evenly(workers: int, connections: int) -> None:
    shares = [Share(report=LOADED) for _ in range(workers)]
    for turn in range(1, connections + 1):
        chosen = choose(shares)
        assert chosen is not None
        hand(chosen, turn)
        take(chosen, num_open=0)
    handed = [share.handed for share in shares]
    assert max(handed) - min(handed) <= 1


reports = st.none() | st.builds(
    Report, taken=st.integers(0, 200), num_open=st.integers(0, 50), loaded=st.booleans()
)
shares_of_any_kind = st.lists(
    st.builds(
        lambda report, under_way, turn: Share(
            handed=(report.taken if report else 0) + under_way, turn=turn, report=report
        ),
        reports,
        st.integers(0, MAX_UNDER_WAY + 2),
        st.integers(0, 20),
    ),
    max_size=8,
)


@given(shares_of_any_kind)
def test_only_who_can_take_one_gets_it_and_the_loaded_go_first(shares: list[Share]) -> None:
    able = [
        (share, share.report)
        for share in shares
        if share.report is not None and share.handed - share.report.taken < MAX_UNDER_WAY
    ]
    chosen = choose(shares)
    if chosen is None:
        assert not able
        return
    assert any(share is chosen for share, _ in able)
    assert chosen.report is not None
    rivals = [share for share, report in able if report.loaded]
    assert chosen.report.loaded == bool(rivals)
    for share in rivals:
        assert chosen.num_connections <= share.num_connections


def test_one_that_is_gone_gets_none() -> None:
    gone, other = Share(report=None), Share(handed=9, report=LOADED)
    assert choose([gone, other]) is other
    assert choose([gone]) is None
    assert choose([dataclasses.replace(other, handed=MAX_UNDER_WAY)]) is None
