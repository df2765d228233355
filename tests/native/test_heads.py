"""What is read natively of a head is what httptools reads, or it is left to that."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.calls.exchange import READ_HEADERS, request_id_of
from service.lane.heads import CONNECTION, NOT_HERE, READER
from service.security.sites import SITE_HEADERS
from tests.http.heads import VISIBLE, Parsed, lines, of_bytes

MATTER = READ_HEADERS | SITE_HEADERS | CONNECTION | NOT_HERE
POST = b"POST /v2/models/m/infer HTTP/1.1\r\n"
PARENT = f"00-{'4b' * 16}-{'a1' * 8}-01"
PLAIN = POST + b"Host: here\r\nContent-Length: 5\r\n\r\n"


def summary(parsed: Parsed) -> object:
    """What a head says, but for what does not matter."""
    matter = [field for field in parsed.fields if field[0] in MATTER]
    return parsed.parser.get_method(), parsed.url, parsed.version, parsed.keep_alive, matter


def check(head: bytes) -> bool:
    """Hold what is read against httptools, which must find the same request; whether it was read.

    Nothing may be read of what httptools refuses.
    """
    words = READER.read(head)
    if words is None:
        return False
    key, num_bytes, body_bytes, request_id, _, authorization, api_key = words
    kept, whole = Parsed(), Parsed()
    if any(re.search(rb"^%b:" % name, key, re.MULTILINE) for name in NOT_HERE):
        return True  # the lane leaves those alone
    kept.parser.feed_data(key)
    whole.parser.feed_data(head[:num_bytes])
    assert whole.is_complete == (body_bytes == 0)
    if body_bytes:
        whole.parser.feed_data(b"x" * (body_bytes - 1))
        assert not whole.is_complete
        whole.parser.feed_data(b"x")
        assert whole.is_complete
    assert summary(kept) == summary(whole)
    assert list(map(int, whole.values(b"content-length"))) == [body_bytes]
    assert whole.values(b"x-request-id") == ([request_id] if request_id else [])
    assert not request_id or request_id_of(request_id).encode() == request_id
    for name, value in ((b"authorization", authorization), (b"x-api-key", api_key)):
        assert len(whole.values(name)) <= 1, "which of them is it?"
        assert b"".join(whole.values(name)) == value
        assert not any(given == name for given, _ in kept.fields), "it would count for others"
    return True


@settings(max_examples=500, deadline=None)
@given(lines(7, odd=False))
def test_every_way_to_say_a_plain_head_is_read(said: bytes) -> None:
    names = [line.partition(b":")[0].lower() for line in said.split(b"\r\n")]
    says_twice_who_asks = any(names.count(name) > 1 for name in (b"authorization", b"x-api-key"))
    assert check(POST + said) != says_twice_who_asks


@settings(max_examples=800, deadline=None)
@given(lines(7, odd=True))
def test_whatever_is_odd_is_read_as_httptools_reads_it_or_not_at_all(said: bytes) -> None:
    check(POST + said)


@settings(max_examples=800, deadline=None)
@given(
    lines(7, odd=False),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3)), max_size=3),
)
def test_damaged_anywhere(said: bytes, damages: list[tuple[int, int, bytes]]) -> None:
    head = POST + said
    for at, cut, piece in damages:
        head = head[:at] + piece + head[at + cut :]
    check(head)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check(data)
    check(b"POST /" + data + b" HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    check(PLAIN[:-2] + data + b"\r\n\r\n")


@given(
    st.one_of(
        st.binary(min_size=1, max_size=9).filter(lambda given_id: b"\n" not in given_id),
        of_bytes(VISIBLE, 1, 140),
    )
)
def test_an_id_is_accepted_just_where_python_accepts_it(given_id: bytes) -> None:
    words = READER.read(PLAIN[:-2] + b"X-Request-ID: " + given_id + b"\r\n\r\n")
    is_accepted = request_id_of(given_id).encode() == given_id
    if is_accepted:
        assert words is not None
        assert words[3] == given_id
    else:
        assert words is None or given_id.lstrip(b" \t") == words[3]


@pytest.mark.parametrize(
    "head",
    [
        PLAIN[:-1],
        b"\r\n" + PLAIN,
        PLAIN.replace(b"POST", b"GET"),
        PLAIN.replace(b"POST", b"post"),
        PLAIN.replace(b"POST", b" POST"),
        PLAIN.replace(b"1.1", b"1.0"),
        PLAIN.replace(b"1.1", b"1.1 "),
        PLAIN.replace(b" HTTP/1.1", b""),
        PLAIN.replace(b"/v2", b"http://here/v2"),
        PLAIN.replace(b"/v2", b"*"),
        PLAIN.replace(b"/m/", b"/m m/"),
        PLAIN.replace(b"/m/", b"/\xc3\xa9/"),
        PLAIN.replace(b"/m/", b"/m\0/"),
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 5"),
        PLAIN.replace(b"Content-Length: 5\r\n", b""),
        *(
            PLAIN.replace(b"Content-Length: 5", b"Content-Length: " + length)
            for length in (b"", b"-5", b"+5", b"5 ", b"5,5", b"0x5", b"5 5", b"9" * 10, b"\xb2")
        ),
        *(
            PLAIN.replace(b"Host: here", line)
            for line in (
                b"Host here", b": here", b"Host : here", b"Ho st: here", b"Host: a\0b",
                b"Host: a\rb", b"Host: a\nb", b"Host: a\r\n b", b"H\xc3\xb6st: here",
                b"X-Request-ID: a\r\nX-Request-ID: a", b"X-Request-ID:", b"X-Request-ID: a b",
                b"X-Request-ID: a ", b"X-Request-ID: " + b"a" * 129, b"X: " + b"x" * 8_192,
                b"Content-Type: " + b"x" * 2_048,
            )
        ),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_httptools(head: bytes) -> None:
    assert READER.read(head) is None


def test_who_asks_is_told_of_each_request_and_kept_of_none() -> None:
    said = b"Authorization: Bearer one\r\nX-API-KEY: two\r\n\r\n"
    words = READER.read(PLAIN[:-2] + said)
    assert words is not None
    assert words[0] == POST + b"host: here\r\n\r\n"
    assert words[4:] == ("", b"Bearer one", b"two")


def test_only_what_matters_is_kept() -> None:
    said = b"A: b\r\ncontent-TYPE:  x y \r\nX-Request-ID: mine\r\nconnection: close\r\n"
    said += b"TraceParent: " + PARENT.encode() + b"\r\n"
    words = READER.read(PLAIN[:-2] + said + b"\r\nbody behind")
    kept = POST + b"host: here\r\ncontent-type: x y \r\nconnection: close\r\n\r\n"
    assert words == (kept, len(PLAIN + said), 5, b"mine", PARENT, b"", b"")


def test_of_two_parents_none_is_believed() -> None:
    line = b"traceparent: " + PARENT.encode() + b"\r\n"
    for said, parent in (
        (line, PARENT),
        (line * 2, ""),
        (line * 3, ""),
        (line[:-3] + b"\r\n", ""),
    ):
        words = READER.read(PLAIN[:-2] + said + b"\r\n")
        assert words is not None
        assert words[4] == parent
