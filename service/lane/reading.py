"""What a connection's parser is given, and how much of it."""

from __future__ import annotations

from typing import Any, NoReturn

import httptools

from service.calls.exchange import refusal
from service.calls.services import Services
from service.errors import HeaderTooLargeError, InvalidRequestError, ServiceError
from service.lane.ending import EndingProtocol
from service.lane.fast_path import header_lines
from service.lane.flow import Progress
from service.lane.framing import check_framing

PIECE_BYTES = 2_048
FRAMING = 16
"""Bytes of a chunked body's framing for one of its own, at most."""
FRAMED_BY = (b"content-length", b"transfer-encoding")


class ReadingProtocol(EndingProtocol):
    """uvicorn's connection, which reads heads of bounded length, and no protocol but HTTP/1.1."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._services: Services = self.app_state["services"]
        self._began_now = False  # with a message, in the bytes that are being read
        self._is_told = False  # what the parser reads now is known
        self._fault: ServiceError | None = None  # for which the parser was stopped
        self._head_bytes = self._message_bytes = self._body_bytes = 0
        self._message_since_s = self.loop.time()
        self._arriving = Progress(self._message_since_s)  # the body of a message

    def feed(self, data: bytes) -> bytes:
        """Have uvicorn's parser read on.

        It makes much of each small request, so no more is read once one waits behind another.

        Returns:
            What is not read yet.
        """
        at = 0
        while at < len(data) and not self.is_over:
            if self.pipeline:
                return data[at:]
            self._feed_piece(data[at : at + PIECE_BYTES])
            at += PIECE_BYTES
        return b""

    def _feed_piece(self, piece: bytes) -> None:
        self._began_now = False
        self._parse(piece)
        if self._in_message and not self._began_now and not self.is_over:
            self._message_bytes += len(piece)
            # of what the parser keeps it tells only when it is whole
            if self._message_bytes - FRAMING * self._body_bytes > self._max_header_bytes:
                self.refuse(refusal(_too_large(self._max_header_bytes)))

    def _parse(self, piece: bytes) -> None:
        while piece:
            try:
                self.parser.feed_data(piece)
                return
            except httptools.HttpParserUpgrade as upgrade:
                self._ignore_upgrade()
                piece = piece[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self.logger.warning("Invalid HTTP request received.")
                fault = self._fault or InvalidRequestError(f"this is no HTTP/1.1: {error}")
                self.refuse(refusal(fault))
                return

    def _ignore_upgrade(self) -> None:
        """Go on in HTTP/1.1, though the client would take another protocol.

        The parser takes what follows such a head for that protocol. Another one goes on behind a
        head that frames the same body.
        """
        framing = tuple(header for header in self.headers if header[0] in FRAMED_BY)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self._is_told = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % header_lines(framing))
        self._is_told = False

    # what the parser calls

    def on_message_begin(self) -> None:
        """The parser begins with a message."""
        if self._is_told:
            return
        self._in_message = self._in_head = self._began_now = True
        self._head_bytes = self._message_bytes = self._body_bytes = 0
        self._message_since_s = self.loop.time()
        self._arriving = Progress(self._message_since_s)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Note a part of the URL."""
        if not self._is_told:
            self._count_head(len(url))
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; what trails a chunked body is none."""
        if self._is_told:
            return
        self._count_head(len(name) + len(value) + 4)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The parser is through with a message's head."""
        if self._is_told:
            return
        version, method = self.parser.get_http_version(), self.parser.get_method().decode()
        try:
            check_framing(version, method, self.url, self.headers)
        except ServiceError as error:
            self._stop(error)
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note a part of the body."""
        self._body_bytes += len(body)
        self._arriving.note(len(body), self.loop.time())
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser is through with a message; unless it takes its body for another protocol."""
        if not self.parser.should_upgrade():
            self._in_message = False
            super().on_message_complete()

    def _count_head(self, num_bytes: int) -> None:
        self._head_bytes += num_bytes
        if self._head_bytes > self._max_header_bytes:
            self._stop(_too_large(self._max_header_bytes))

    def _stop(self, error: ServiceError) -> NoReturn:
        """Have the parser stop: the message that it reads is refused for this."""
        self._fault = error
        raise error

    @property
    def _max_header_bytes(self) -> int:
        return self._services.settings.max_header_bytes


def _too_large(max_header_bytes: int) -> HeaderTooLargeError:
    return HeaderTooLargeError(f"the request's head exceeds the limit of {max_header_bytes} bytes")
