"""Traces by OpenTelemetry: a span for each request, and in it what its job waited for and took.

Spans are made when a request ends, out of times that are measured anyway; until then a traced
request costs nothing. They leave in batches, by a thread of the exporter's own.
"""

from __future__ import annotations

import random
import time
from importlib.metadata import version
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode

from service import native
from service.telemetry.parts.series import FAULTS
from service.telemetry.settings import TelemetrySettings

EXPORT_TIMEOUT_S = 3.0
OURS = "seqserve."  # what attributes begin with


class Model(Protocol):
    """What answers."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def version(self) -> str:
        """Of the model."""

    @property
    def precision(self) -> str:
        """That it computes with."""


class Traced:
    """A request's span, under way.

    Args:
        tracer: Makes the spans in it.
        span: Its own.
        clock: That its beginning was told by: by another, what is inside of it could begin before.
    """

    def __init__(self, tracer: trace.Tracer, span: trace.Span, clock: _Clock) -> None:
        self._tracer = tracer
        self._span = span
        self._clock = clock
        self._inside = trace.set_span_in_context(span)

    @property
    def response(self) -> str:
        """What the caller is told: `traceresponse`, in the form of `traceparent`."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(
        self, outcome: str, model: Model | None, job: native.Job | None, ended_s: float
    ) -> None:
        """The request is answered.

        Args:
            outcome: `ok`, or the error's code.
            model: That was asked, if it was found.
            job: That ran for it, if one did.
            ended_s: When, by `time.perf_counter`.
        """
        span = self._span
        span.set_attribute(OURS + "outcome", outcome)
        if outcome != "ok":
            span.set_attribute("error.type", outcome)
        if outcome in FAULTS:
            span.set_status(Status(StatusCode.ERROR))
        about = {}
        if model is not None:
            about = {
                OURS + "model": model.name,
                OURS + "version": model.version,
                OURS + "precision": model.precision,
            }
            span.set_attributes(about)
        if job is not None:
            self._tell_stages(job, about, ended_s)
        span.end(self._clock.epoch_ns(ended_s))

    def _tell_stages(self, job: native.Job, about: dict[str, str], ended_s: float) -> None:
        """What the job waited for and took, as far as it came: one span after the other."""
        sizes = {
            OURS + "sequences": job.num_sequences,
            OURS + "steps": job.num_cells,
            OURS + "priority": job.priority,
        }
        self._span.set_attributes(sizes)
        runs = {OURS + "batch_size": job.max_rows, OURS + "runs": job.num_runs}
        moments = [job.submitted_s, job.ran_s, job.prepared_s, job.done_s]
        for index, name in enumerate(("queue", "batch", "compute")):
            begun_s, until_s = moments[index : index + 2]
            if not begun_s:  # it never came so far
                return
            attributes = {**about, **(runs if index else {})}
            self._child(name, attributes, begun_s, until_s or ended_s)

    def _child(self, name: str, attributes: dict[str, Any], begun_s: float, until_s: float) -> None:
        child = self._tracer.start_span(
            name,
            context=self._inside,
            attributes=attributes,
            start_time=self._clock.epoch_ns(begun_s),
        )
        child.end(self._clock.epoch_ns(until_s))


class Tracing:
    """What traces a server's requests.

    Args:
        settings: Where the traces go, and how many there are.
        worker: Which process this is.
    """

    def __init__(self, settings: TelemetrySettings, worker: int) -> None:
        about = {
            "service.name": "seqserve",
            "service.version": version("seqserve"),
            "service.instance.id": str(worker),
        }
        self._ratio = settings.trace_sample_ratio
        # not the process's: tests have several servers in one
        self._provider = TracerProvider(ALWAYS_ON, Resource.create(about), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(settings.otlp_endpoint, timeout=EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("seqserve", version("seqserve"))

    def begin(
        self, protocol: str, path: str, request_id: str, trace_parent: str, begun_s: float
    ) -> Traced | None:
        """A request's span, unless it is not to be recorded.

        Args:
            protocol: Such as `v2`.
            path: Of the request.
            request_id: In the log and in the answer.
            trace_parent: What it is a part of, well formed; empty if it is no part.
            begun_s: When its head was read, by `time.perf_counter`.
        """
        # drawn here, as OpenTelemetry's samplers would: a span of theirs that is not recorded costs
        # most of one that is
        context = None
        if trace_parent:
            _, trace_id, span_id, flags = trace_parent.split("-")
            if flags == "00":
                return None
            recorded = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            parent = SpanContext(int(trace_id, 16), int(span_id, 16), True, recorded)
            context = trace.set_span_in_context(NonRecordingSpan(parent))
        elif random.random() >= self._ratio:
            return None
        clock = _Clock()
        span = self._tracer.start_span(
            protocol,
            context=context,
            kind=SpanKind.SERVER,
            attributes={"url.path": path, OURS + "request_id": request_id},
            start_time=clock.epoch_ns(begun_s),
        )
        return Traced(self._tracer, span, clock)

    def close(self) -> None:
        """Send what there is, and no more."""
        self._provider.shutdown()


class _Clock:
    """Moments of `time.perf_counter` as nanoseconds since 1970: as the wall clock says it now."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.perf_counter_ns()

    def epoch_ns(self, at_s: float) -> int:
        return self._offset_ns + round(1e9 * at_s)
