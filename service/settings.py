"""Every knob of the server: its unit, its range and what it means."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.graphs.settings import FaultSettings
from service.manifest import Precision
from service.security.settings import SecuritySettings, is_loopback
from service.telemetry.settings import TelemetrySettings

GRPC_PACKAGES = ("grpc", "grpc_health", "grpc_reflection", "tritonclient")


def _path_or_url(value: object) -> object:
    return Path(value) if isinstance(value, str) and "://" not in value else value


Location = Annotated[Path | str, BeforeValidator(_path_or_url)]
"""A folder or, always as a text, a URL: a path would lose one of its slashes."""


class Settings(FaultSettings, SecuritySettings, TelemetrySettings, BaseSettings):
    """Serve sequence models over HTTP.

    Every flag is also an environment variable, SEQSERVE_HOST for --host; a flag wins.
    """

    model_config = SettingsConfigDict(
        env_prefix="SEQSERVE_",
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_prog_name="python -m service",
        hide_input_in_errors=True,  # `repository_options` may hold secrets
    )

    host: str = Field("127.0.0.1", description="address to listen on; :: is every one, of IPv4 too")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    uds: Path | None = Field(
        None, description="listen on a Unix socket with this path, not on host and port"
    )
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="serve gRPC too, on this port; needs `pip install 'seqserve[grpc]'`",
    )
    repository: Location = Field(
        Path("repository"), description="folder of <model>/<version> bundles, or the URL of one"
    )
    repository_options: dict[str, Any] = Field(
        {}, repr=False, description="of a URL, for fsspec, such as endpoint_url; as JSON"
    )
    cache_dir: Path | None = Field(
        None, description="folder for copies of remote bundles; default: the user's cache directory"
    )
    trusted_keys: Path | None = Field(
        None, description="PEM file of a public key, or folder of such; then signatures are checked"
    )
    require_signature: bool = Field(
        False, description="refuse bundles that are not signed; needs trusted_keys"
    )

    precision: Precision = Field(
        "fp32",
        description="what answers unless a request says otherwise; a model without it uses fp32",
    )

    workers: int = Field(
        1, ge=1, le=256, description="processes that serve the port, each an engine of its own"
    )
    engine_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="threads that compute, of each worker; default: its share of the cores",
    )
    pin_threads: bool = Field(
        False, description="keep each of them on one core; only where nothing else wants the cores"
    )
    max_batch_size: int = Field(
        12, ge=1, le=256, description="sequences in one run, at most; how many, the cost model says"
    )
    max_decoding_rows: int = Field(
        32, ge=1, le=256, description="texts, or hypotheses of a beam, in one step of a decoder"
    )
    max_run_ms: float = Field(
        6.0, gt=0, le=60_000, description="time of one run of several sequences, at most"
    )
    chunk_steps: int | None = Field(
        None, ge=1, le=4_096, description="steps of one tick of `cells`; default: the cost model's"
    )
    max_active_sequences: int = Field(
        256, ge=1, le=65_536, description="sequences of one model that hold state at a time"
    )
    max_padding_ratio: float = Field(
        1.25, ge=1.0, le=100.0, description="cells computed for one real cell, at most, in a batch"
    )
    max_queue_size: int = Field(
        1_024, ge=1, le=1_000_000, description="sequences of one model under way; then 429"
    )
    max_queue_cells: int = Field(
        1 << 20, ge=1, le=1 << 40, description="steps of one model's sequences under way; then 429"
    )
    max_refusals_per_s: float = Field(
        1_000.0,
        gt=0,
        le=1e6,
        description="429s for want of room that each worker tells at once; more wait, 1 s at most",
    )
    calibration_ms: float = Field(
        60.0, ge=0, le=60_000, description="time to measure a model's costs at load"
    )

    max_request_sequences: int = Field(
        256, ge=1, le=1_000_000, description="sequences in one request; more are refused"
    )
    max_body_bytes: int = Field(16 << 20, ge=1_024, le=1 << 31, description="larger bodies get 413")
    inline_body_bytes: int = Field(
        64 << 10, ge=0, description="larger bodies are decoded in a thread, off the event loop"
    )
    cache_bytes: int = Field(
        0,
        ge=0,
        description="memory for answers to requests that come again exactly; 0 for none. Requests "
        "that don't come again take about 1.8 times the CPU with it",
    )
    request_timeout_s: float = Field(
        30.0, gt=0, le=3_600, description="deadline of a request; it may ask for less, not for more"
    )

    strict_readiness: bool = Field(
        True,
        description="ready only if there are bundles and all serve; if false, once all were tried",
    )
    poll_repository_s: float = Field(
        0.0, ge=0, le=86_400, description="look for changed bundles so often; 0: never"
    )
    storage_timeout_s: float = Field(
        10.0,
        gt=0,
        le=3_600,
        description="a read of a model's files may stand still so long; then the others go on, "
        "whoever asked for it gets 503, and it goes on by itself",
    )
    allow_model_control: bool | None = Field(
        None,
        description="let requests change models and logs; default: with API keys those with the "
        "scope admin, without only on a loopback host",
    )
    max_upload_bytes: int = Field(
        256 << 20, ge=0, le=1 << 40, description="files of one request to load a model, in all"
    )

    drain_delay_s: float = Field(
        0.0, ge=0, le=600, description="after SIGTERM: not ready but still serving, this long"
    )
    idle_drain_s: float = Field(
        1.0, ge=0, le=600, description="after SIGTERM: an idle connection may ask once more so long"
    )
    shutdown_timeout_s: int = Field(
        30, ge=1, le=3_600, description="then wait for requests in flight, at most this long"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what is logged"
    )
    access_log: bool = Field(
        False,
        description="log a line for every request; with small models half the throughput",
    )

    @property
    def controls_models(self) -> bool:
        """Whether requests may load and unload models, and change what is logged."""
        if self.allow_model_control is not None:
            return self.allow_model_control
        if self.api_keys is not None:
            return True  # of a key with the scope for it
        return self.is_local

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it: over a Unix socket or a loopback address."""
        return self.uds is not None or is_loopback(self.host)

    @field_validator("grpc_port")
    @classmethod
    def _has_grpc(cls, port: int | None) -> int | None:
        missing = [name for name in GRPC_PACKAGES if find_spec(name) is None]
        if port is not None and missing:
            raise ValueError(f"gRPC needs `pip install 'seqserve[grpc]'`: no {', '.join(missing)}")
        return port

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.require_signature and self.trusted_keys is None:
            raise ValueError("require_signature needs trusted_keys: whose signature is to count?")
        if self.max_request_sequences > self.max_queue_size:
            raise ValueError(
                f"max_request_sequences ({self.max_request_sequences}) exceeds "
                f"max_queue_size ({self.max_queue_size}): such a request could never be taken"
            )
        if self.max_body_bytes > self.max_bodies_bytes:
            raise ValueError(
                f"max_body_bytes ({self.max_body_bytes}) exceeds max_bodies_bytes "
                f"({self.max_bodies_bytes}): such a body could never be taken"
            )
        if self.port and self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port are both {self.port}")
        return self


def max_load_bytes(settings: Settings) -> int:
    """Of the body of a request to load a model, whose files are in base64."""
    return settings.max_body_bytes + settings.max_upload_bytes * 4 // 3
