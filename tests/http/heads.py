"""Heads of requests in all the ways there are to say them, fine and odd."""

from __future__ import annotations

from typing import NamedTuple

import httptools
from hypothesis import strategies as st

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
TEXT = bytes([*range(0x20, 0x7F), *range(0x80, 0x100), 0x09])
VISIBLE = bytes(range(0x21, 0x7F))


class Parsed:
    """A whole request, by httptools."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.version = self.parser.get_http_version()
        self.keep_alive = self.parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self.is_complete = True

    def values(self, name: bytes) -> list[bytes]:
        """Of all headers with this name."""
        return [value for each, value in self.fields if each == name]


class Line(NamedTuple):
    """One header, or what should be one."""

    name: bytes
    between: bytes
    value: bytes

    def __bytes__(self) -> bytes:
        return self.name + self.between + self.value + b"\r\n"


def of_bytes(alphabet: bytes, min_size: int, max_size: int) -> st.SearchStrategy[bytes]:
    """Any bytes of these."""
    text = st.text(alphabet.decode("latin-1"), min_size=min_size, max_size=max_size)
    return text.map(lambda made: made.encode("latin-1"))


tokens = of_bytes(TOKEN, 1, 12).map(lambda name: b"x-" + name)
usual = st.sampled_from([b"User-Agent", b"traceparent", b"X-Forwarded-For", b"Cookie", b"Accept"])
values = of_bytes(TEXT, 0, 20).map(bytes.lstrip)
SAID = {  # headers that matter, and what they mostly say
    b"Content-Type": [b"application/json", b"application/json; a=b", b"text/plain"],
    b"Content-Encoding": [b"identity", b"gzip", b""],
    b"Accept-Encoding": [b"gzip, br"],
    b"Connection": [b"keep-alive", b"close", b"Close", b"close ", b"x, close", b"upgrade"],
    b"Proxy-Connection": [b"keep-alive", b"close"],
    b"Inference-Header-Content-Length": [b"", b"0", b"7", b"99999"],
    b"Authorization": [b"Bearer x", b"Bearer y ", b"Basic z", b""],
    b"X-API-Key": [b"x", b"y z", b""],
    b"Origin": [b"http://a.example", b"http://localhost:8000", b"null", b""],
    b"Sec-Fetch-Site": [b"same-origin", b"None ", b"cross-site", b""],
}
NOT_PLAIN = {
    b"Expect": [b"100-continue", b"x"],
    b"Transfer-Encoding": [b"chunked", b"identity", b"x"],
}
HOSTS = [b"localhost", b"127.0.0.1:8000", b"LOCALHOST:8000", b"[::1]:80 ", b"localhost.", b"here"]
ODD_HOSTS = [b"localhost, a", b"a b", b"http://a", b"localhost:x", b"[::1", b"a@localhost", b""]
ODD_NAMES = [b"", b"a b", b"a\t", b"\xff", b"a\0", b'a"', b"(a)", b" a", b"\na", b"content-length "]
ODD_VALUES = [b"\0", b"a\nb", b"a\rb", b"a\x7f", b"\x1b", b"a\r\n b", b"a\r\n\tb", b"\n", b"\x0b"]


def in_any_case(name: bytes) -> st.SearchStrategy[bytes]:
    """A name, its letters large or small."""
    middle = len(name) // 2
    mixed = name[:middle].lower() + name[middle:].upper()
    return st.sampled_from([name, name.lower(), name.upper(), name.swapcase(), mixed])


@st.composite
def of(draw: st.DrawFn, said: dict[bytes, list[bytes]]) -> tuple[bytes, bytes]:
    """One of these headers."""
    name = draw(st.sampled_from(sorted(said)))
    return draw(in_any_case(name)), draw(st.sampled_from(said[name]))


between = st.sampled_from([b": ", b":", b":\t", b":  \t "])
fine_lines = st.builds(
    lambda said, between: Line(said[0], between, said[1]),
    st.one_of(st.tuples(tokens | usual, values), st.tuples(tokens | usual, values), of(SAID)),
    between,
)
odd_lines = st.one_of(
    st.builds(Line, st.sampled_from(ODD_NAMES), between, values),
    st.builds(Line, tokens | usual, between, st.sampled_from(ODD_VALUES)),
    st.builds(Line, tokens, st.sampled_from([b"", b" ", b" : ", b"\t:"]), of_bytes(TOKEN, 0, 5)),
    st.builds(lambda said: Line(said[0], b": ", said[1]), of(NOT_PLAIN)),
    st.builds(Line, in_any_case(b"X-Request-ID"), between, values),
    st.builds(Line, in_any_case(b"Host"), between, st.sampled_from([*HOSTS, *ODD_HOSTS])),
    st.builds(Line, in_any_case(b"content-length"), between, st.sampled_from([b"0", b"5", b"x"])),
)
fine_ids = st.builds(Line, in_any_case(b"X-Request-ID"), between, of_bytes(VISIBLE, 1, 128))


@st.composite
def lines(draw: st.DrawFn, num_body_bytes: int, odd: bool) -> bytes:
    """A head's headers, in any order, and the empty line.

    Args:
        num_body_bytes: That follow.
        odd: Whether there is something that is not plain among them.
    """
    length = draw(st.sampled_from([b"%d", b"%d", b"0%d"])) % num_body_bytes
    made = draw(st.lists(fine_lines, max_size=6))
    made += [Line(draw(in_any_case(b"Content-Length")), draw(between), length)]
    made += draw(st.lists(fine_ids, max_size=1))
    hosts = st.builds(
        Line, in_any_case(b"Host"), between, st.sampled_from(HOSTS[: None if odd else -1])
    )
    made += draw(st.lists(hosts, min_size=not odd, max_size=1))
    if odd:
        made.append(draw(odd_lines))
    return b"".join(map(bytes, draw(st.permutations(made)))) + b"\r\n"
