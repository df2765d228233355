"""Heads of requests read once: a client says the same words over and over, but for a length.

What is kept is looked up by the very bytes without the content length's digits, so the same bytes
always mean the same. The first time, httptools reads them, as it does all that comes another way.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httptools

from service.api.calls import Handler
from service.api.exchange import Head
from service.api.predict import PREDICT
from service.api.v2 import INFER

MAX_HEADS = 1_024
MAX_HEAD_BYTES = 2_048

CONTENT_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?(\d{1,9})\r\n")
NOT_HERE = {b"transfer-encoding", b"expect", b"upgrade"}

# unreserved characters alone: what must be decoded goes the ordinary way
PATHS = re.compile(
    rb"/v2/models/([\w.~-]+)(?:/versions/([\w.~-]+))?/infer()(?:\?([!-~]*))?"
    rb"|/v1/models/([\w.~-]+)()/predict()(?:\?([!-~]*))?"
)


class HotHead(NamedTuple):
    """The head of a request to a hot route, in its plain form."""

    head: Head
    handler: Handler
    keep_alive: bool


class Heads:
    """The heads of a server's requests; forgotten all at once when there are too many."""

    def __init__(self) -> None:
        self._known: dict[bytes, HotHead | None] = {}

    def find(self, words: bytes) -> tuple[HotHead, int] | None:
        """What a head says, and how many bytes of body follow it.

        Args:
            words: Up to the empty line, and that too.

        Returns:
            None if it is no hot route's plain request: that goes the ordinary way.
        """
        length = CONTENT_LENGTH.search(words)
        if length is None:
            return None
        key = words[: length.start(1)] + words[length.end(1) :]
        try:
            hot = self._known[key]
        except KeyError:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            hot = self._known[key] = _read(words, length[1])
        return (hot, int(length[1])) if hot is not None else None


class _Reader:
    """What httptools calls."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.keep_alive: bool | None = None  # known when all headers are

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        # to be asked here: a message that is complete, as one without a body soon is, says nothing
        version = self.parser.get_http_version()
        self.keep_alive = version != "1.0" and self.parser.should_keep_alive()


def _read(words: bytes, length: bytes) -> HotHead | None:
    reader = _Reader()
    try:
        reader.parser.feed_data(words)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None  # the ordinary way words the refusal
    found, keep_alive = PATHS.fullmatch(reader.url), reader.keep_alive
    if keep_alive is None or reader.parser.get_method() != b"POST":
        return None
    if found is None or b"#" in reader.url:
        return None
    lengths = [value for name, value in reader.fields if name == b"content-length"]
    fields = dict(reversed(reader.fields))  # of a repeated header, the first
    if lengths != [length] or NOT_HERE & fields.keys():
        return None
    del fields[b"content-length"]
    name, version, _, query, *v1 = found.groups()
    handler = INFER
    if name is None:
        handler = PREDICT
        name, version, _, query = v1
    path = reader.url.partition(b"?")[0].decode("ascii")
    head = Head(path, name.decode(), version.decode() if version else None, query or b"", fields)
    return HotHead(head, handler, keep_alive)
