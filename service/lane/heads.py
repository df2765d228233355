"""Heads of requests read once: a client says the same over and over, but for what does not matter.

What is kept is looked up by what matters of a head (`native/lane/head.hpp`), so the same words
always mean the same. The first time, httptools reads them, as it does all that comes another way.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httptools

from service import native
from service.api.predict import PREDICT
from service.api.v2 import INFER
from service.calls.asked import Handler
from service.calls.exchange import READ_HEADERS, Head
from service.errors import ServiceError
from service.lane.framing import check_framing
from service.security.gate import Credentials
from service.security.sites import SITE_HEADERS, Sites

MAX_HEADS = 1_024

CONNECTION = {b"connection", b"proxy-connection"}
"""What httptools goes by when it says whether a connection stays open."""
NOT_HERE = {b"transfer-encoding", b"expect"}
READER = native.HeadReader(sorted(READ_HEADERS | SITE_HEADERS | CONNECTION | NOT_HERE))

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


class FoundHead(NamedTuple):
    """A request's head."""

    hot: HotHead
    num_bytes: int
    """Of it, its empty line included."""
    body_bytes: int
    """Of the body that follows."""
    request_id: bytes
    """The caller's own; empty if there is none."""
    trace_parent: str
    """What the request is a part of; empty if it does not say."""
    credentials: Credentials
    """Of this request alone: they are no part of what is known of a head."""


class Heads:
    """The heads of a server's requests; forgotten all at once when there are too many.

    Args:
        sites: Whose pages may ask the server.
    """

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._known: dict[bytes, HotHead | None] = {}

    def find(self, data: bytes) -> FoundHead | None:
        """The head that these bytes begin with.

        Returns:
            None if it is no hot route's plain request, not complete, or a foreign page's: that goes
            the ordinary way.
        """
        words = READER.read(data)
        if words is None:
            return None
        key, num_bytes, body_bytes, request_id, trace_parent, *who = words
        try:
            hot = self._known[key]
        except KeyError:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            hot = self._known[key] = self._read(key)
        if hot is None:
            return None
        credentials = Credentials(*who)
        return FoundHead(hot, num_bytes, body_bytes, request_id, trace_parent, credentials)

    def _read(self, words: bytes) -> HotHead | None:
        """What a head says; of the length of a body it says nothing."""
        reader = _Reader()
        try:
            reader.parser.feed_data(words)
            check_framing("1.1", "POST", reader.url, reader.fields)
            self._sites.check("POST", reader.fields)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ServiceError):
            return None  # the ordinary way words the refusal
        found, keep_alive = PATHS.fullmatch(reader.url), reader.keep_alive
        fields = dict(reversed(reader.fields))  # of a repeated header, the first
        if found is None or b"#" in reader.url or keep_alive is None or NOT_HERE & fields.keys():
            return None
        if b"origin" in fields and self._sites.has_others:
            return None  # which it is told with the answer
        return _hot_head(found, reader.url, fields, keep_alive)


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
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        # to be asked here: a message that is complete, as one without a body soon is, says nothing
        self.keep_alive = self.parser.should_keep_alive()


def _hot_head(
    found: re.Match[bytes], url: bytes, fields: dict[bytes, bytes], keep_alive: bool
) -> HotHead:
    name, version, _, query, *v1 = found.groups()
    handler = INFER
    if name is None:
        handler = PREDICT
        name, version, _, query = v1
    path = url.partition(b"?")[0].decode("ascii")
    head = Head(path, name.decode(), version.decode() if version else None, query or b"", fields)
    return HotHead(head, handler, keep_alive)
