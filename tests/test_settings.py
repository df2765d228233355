"""Every setting has a range, and a value out of it stops the start by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import annotated_types
import pytest
from pydantic import ValidationError

from service.flags import read_settings
from service.settings import Settings

ROOT = Path(__file__).parent.parent

OUT_OF_RANGE: dict[str, list[Any]] = {
    "port": [-1, 65_536, "http"],
    "grpc_port": [-1, 65_536, "http"],
    "workers": [0, 257],
    "engine_threads": [0, 257],
    "max_batch_size": [0, 257],
    "max_decoding_rows": [0, 257],
    "max_run_ms": [0, -1, 60_001, "nan"],
    "max_queue_cells": [0],
    "max_refusals_per_s": [0],
    "calibration_ms": [-1, 60_001, "nan"],
    "chunk_steps": [0, 4_097],
    "max_active_sequences": [0, 65_537],
    "max_padding_ratio": [0.99, 100.1, "nan"],
    "max_queue_size": [0, 1_000_001],
    "max_request_sequences": [0, 1_000_001],
    "max_body_bytes": [1_023, (1 << 31) + 1],
    "inline_body_bytes": [-1],
    "cache_bytes": ["-1"],
    "request_timeout_s": [0, -1, 3_601, "nan", "inf"],
    "poll_repository_s": [-0.1, 86_401, "nan"],
    "storage_timeout_s": [0, 3_601, "nan"],
    "allow_model_control": ["perhaps"],
    "max_upload_bytes": [-1, (1 << 40) + 1],
    "max_hang_s": [0, -1, 86_401, "nan"],
    "quarantine_s": [0, -1, 3_601, "nan"],
    "max_graph_bytes": [(1 << 20) - 1, (1 << 50) + 1],
    "drain_delay_s": [-0.1, 601, "nan"],
    "shutdown_timeout_s": [0, 3_601],
    "log_level": ["loud", ""],
    "strict_readiness": ["perhaps"],
    "access_log": ["perhaps"],
    "pin_threads": ["perhaps"],
    "require_signature": ["perhaps"],
    "otlp_endpoint": ["collector:4318", ""],
    "trace_sample_ratio": [-0.1, 1.1, "nan"],
    "input_sample_share": [-0.1, 1.1, "nan"],
    "input_window": [99, 1_000_001],
    "max_header_bytes": [8_191, (1 << 20) + 1],
    "max_bodies_bytes": [1_023, (1 << 40) + 1],
    "max_memory_bytes": [0, (1 << 50) + 1],
    "max_rpcs": [0, 1_000_001],
    "max_models": [0, 1_000_001],
    "max_models_bytes": [1_023, (1 << 50) + 1],
    "max_connections": [0, 1_000_001],
    "keep_alive_s": [0, 3_601, "nan"],
    "head_timeout_s": [0, 3_601, "nan"],
    "transfer_timeout_s": [0, 3_601, "nan"],
    "min_transfer_bytes_per_s": [0, 1.1e9, "nan"],
    "idle_drain_s": [-1, 601, "nan"],
}


pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, bad in OUT_OF_RANGE.items() for value in bad]
)
def test_a_value_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    monkeypatch.setenv(f"SEQSERVE_{field.upper()}", str(value))
    with pytest.raises(ValidationError) as refusal:
        Settings()
    assert [error["loc"] for error in refusal.value.errors()] == [(field,)]
    assert field in str(refusal.value)


def test_every_bounded_setting_is_in_the_table() -> None:
    bounds = (annotated_types.Ge, annotated_types.Gt, annotated_types.Le, annotated_types.Lt)
    bounded = {
        name
        for name, field in Settings.model_fields.items()
        if any(isinstance(bound, bounds) for bound in field.metadata)
    }
    assert bounded <= OUT_OF_RANGE.keys()
    numbers = {n for n, f in Settings.model_fields.items() if f.annotation in (int, float)}
    assert numbers <= bounded, "a number without a range"


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_ends_of_the_ranges_are_in_them() -> None:
    Settings(port=0, engine_threads=1, max_padding_ratio=1.0, drain_delay_s=0, max_body_bytes=1024)
    Settings(port=65_535, engine_threads=256, max_padding_ratio=100, request_timeout_s=3_600)


def test_requests_larger_than_the_queue_are_refused_with_both_numbers() -> None:
    with pytest.raises(
        ValidationError, match=r"max_request_sequences \(9\) exceeds max_queue_size \(8\)"
    ):
        Settings(max_request_sequences=9, max_queue_size=8)
    assert Settings(max_request_sequences=8, max_queue_size=8).max_queue_size == 8


def test_the_environment_goes_before_defaults_and_flags_before_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert read_settings([]).port == 8_000
    monkeypatch.setenv("SEQSERVE_PORT", "9001")
    monkeypatch.setenv("SEQSERVE_CHUNK_STEPS", "4")
    assert read_settings([]).port == 9_001
    flags = read_settings(["--port", "9002", "--max-batch-size=3"])
    assert (flags.port, flags.max_batch_size, flags.chunk_steps) == (9_002, 3, 4)


def test_flags_are_kebab_case_for_every_setting() -> None:
    flags = read_settings(
        [
            "--repository", "elsewhere",
            "--strict-readiness", "false",
            "--request-timeout-s", "2.5",
            "--log-level", "debug",
        ],
    )  # fmt: skip
    assert flags.repository == Path("elsewhere")
    assert flags.strict_readiness is False
    assert flags.request_timeout_s == 2.5
    assert flags.log_level == "debug"


def test_a_repository_is_a_folder_or_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQSERVE_REPOSITORY", "s3://bucket/models")
    monkeypatch.setenv("SEQSERVE_REPOSITORY_OPTIONS", '{"endpoint_url": "http://minio:9000"}')
    assert Settings().repository == "s3://bucket/models"
    assert Settings().repository_options == {"endpoint_url": "http://minio:9000"}
    assert read_settings(["--repository", "a/b"]).repository == Path("a/b")


@pytest.mark.parametrize("options", ['{"secret": "hidden"', '["hidden"]', '{"secret": "hidden"}'])
def test_options_of_a_repository_are_in_no_message(
    monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    monkeypatch.setenv("SEQSERVE_REPOSITORY_OPTIONS", options)
    monkeypatch.setenv("SEQSERVE_MAX_QUEUE_SIZE", "8")
    with pytest.raises(ValueError, match=r"repository_options|max_queue_size") as refusal:
        Settings()
    assert "hidden" not in str(refusal.value)
    monkeypatch.delenv("SEQSERVE_REPOSITORY_OPTIONS")
    assert "hidden" not in repr(Settings(repository_options={"a": "hidden"}, max_queue_size=2_000))


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]
