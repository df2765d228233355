"""The settings of what is told beside metrics: traces, and a look at models' inputs."""

from __future__ import annotations

from importlib.util import find_spec

from pydantic import BaseModel, Field, field_validator

OTEL_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class TelemetrySettings(BaseModel):
    """Fields of the server's settings."""

    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="URL that traces are sent to by OTLP over HTTP, such as "
        "http://localhost:4318/v1/traces; needs `pip install 'seqserve[otel]'`",
    )
    trace_sample_ratio: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of the requests that are traced, where the caller does not say it",
    )
    input_sample_share: float = Field(
        0.1, ge=0, le=1, description="share of the answered requests whose inputs are looked at"
    )
    input_window: int = Field(
        1_000, ge=100, le=1_000_000, description="sequences that a model's drift is told over"
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _has_otel(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not all(map(_is_installed, OTEL_PACKAGES)):
            raise ValueError("traces need `pip install 'seqserve[otel]'`")
        return endpoint


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even what it is in
        return False
