"""A collector of traces: a real HTTP server that reads OTLP's protobuf."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Span(NamedTuple):
    """A span as it came; ids in hexadecimals."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    begun_ns: int
    until_ns: int
    status: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector:
    """What came in."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.endpoint = ""

    def requests(self) -> list[Span]:
        """The spans of requests, in the order in which those began."""
        return sorted((it for it in self.spans if it.kind == 2), key=lambda it: it.begun_ns)

    def inside(self, span: Span) -> dict[str, Span]:
        """The spans in one, by name."""
        found = [it for it in self.spans if it.parent_id == span.span_id]
        assert all(it.trace_id == span.trace_id for it in found)
        assert len({it.name for it in found}) == len(found)
        return {it.name: it for it in found}

    def take(self, body: bytes) -> None:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = plain(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [span_of(it, resource) for it in of_scope.spans]


def span_of(it: Any, resource: dict[str, Any]) -> Span:
    return Span(
        it.name,
        it.trace_id.hex(),
        it.span_id.hex(),
        it.parent_span_id.hex(),
        it.kind,
        it.start_time_unix_nano,
        it.end_time_unix_nano,
        it.status.code,
        plain(it.attributes),
        resource,
    )


def plain(attributes: Any) -> dict[str, Any]:
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    collector.endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
