"""Every setting has a range, and a value out of it stops the start by its name."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import annotated_types
import pytest
from pydantic import ValidationError

from service.__main__ import main
from service.flags import GROUPS, read_settings, unknown_variables
from service.settings import Settings
from tests.servers import serving

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


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SEQSERVE_"):
            monkeypatch.delenv(name)


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


def run_service(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--port", "99999"], ["bad setting", "port", "65535"]),
        (["--repository", "no/such"], ["bad setting", "repository", "no/such", "is not a folder"]),
        (["--repository", "nothing://a/b"], ["bad setting", "nothing://a/b", "nothing"]),
        (["--repository", "file:///a", "--cache-dir", "/proc/a"], ["bad setting", "/proc/a"]),
        (["--trusted-keys", "LICENSE"], ["bad setting", "trusted_keys", "LICENSE"]),
        (["--trusted-keys", "no/such"], ["bad setting", "no/such"]),
    ],
)
def test_a_bad_setting_stops_the_start_with_status_2_and_says_which(
    flags: list[str], says: list[str]
) -> None:
    ended = run_service(*flags)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    for text in says:
        assert text in ended.stderr


def test_a_bad_variable_stops_the_start_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["service"])
    monkeypatch.setenv("SEQSERVE_CHUNK_STEPS", "0")
    assert main() == 2
    message = capsys.readouterr().err
    assert message.startswith("bad setting: ")
    assert "chunk_steps" in message


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--ports", "1"], "--ports is unknown; did you mean --port? ("),
        (["--max-batchsize=3"], "--max-batchsize is unknown; did you mean --max-batch-size? ("),
        (["--zzz"], "--zzz is unknown ("),
        (["serve"], "serve is unknown ("),
        (["--port"], "argument --port: expected one argument ("),
    ],
)
def test_an_unknown_flag_is_refused_in_a_line_that_has_the_nearest(
    capsys: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(flags)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"bad setting: {says}")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "variables", "says"),
    [
        (["--port", "99999"], {}, "port must be at most 65535, not 99999 (--port)"),
        (["--port=http"], {}, "port must be a whole number, not 'http' (--port)"),
        ([], {"PORT": ""}, "port must be a whole number, not '' (SEQSERVE_PORT)"),
        ([], {"WORKERS": "0"}, "workers must be at least 1, not 0 (SEQSERVE_WORKERS)"),
        ([], {"PORT": "tcp://10.0.0.1:80"}, "enableServiceLinks: false"),
        (["--log-level=loud"], {}, "must be 'debug', 'info', 'warning' or 'error', not 'loud'"),
        (["--access-log=perhaps"], {}, "access_log must be true or false, not 'perhaps'"),
        ([], {"CORS_ORIGINS": "a.example"}, "cors_origins is not JSON (--cors-origins or SEQ"),
        (["--repository-options=secret"], {}, "repository_options is not JSON"),
        (["--require-signature"], {}, "require_signature needs trusted_keys"),
        (["--tls-key=key.pem"], {}, "tls_certificate and tls_key belong together"),
        (["--request-timeout-s=nan"], {}, "request_timeout_s must be at most 3600, not"),
    ],
)
def test_a_bad_value_is_told_in_plain_words_with_where_it_was_given(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], variables: dict[str, str], says: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"SEQSERVE_{name}", value)
    with pytest.raises(ValueError, match=re.escape(says)) as refusal:
        read_settings(flags)
    message = str(refusal.value)
    for jargon in ("pydantic", "validation error", "[type=", "Errno", "Input should", "secret"):
        assert jargon not in message


def test_several_bad_values_are_each_told() -> None:
    ended = run_service("--port=-1", "--workers=0")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "bad setting: port must be at least 0, not -1 (--port)",
        "bad setting: workers must be at least 1, not 0 (--workers)",
    ]


def test_unknown_variables_are_told_with_the_nearest() -> None:
    told = unknown_variables(
        {
            "SEQSERVE_PROT": "1",
            "SEQSERVE_REPOSITORY_POLL_S": "1",
            "seqserve_zzz": "1",
            "SEQSERVE_PORT": "1",
            "seqserve_host": "::",
            "SEQSERVE_DATA_DIR": "/data",
            "SEQSERVE_SERVICE_HOST": "10.0.0.1",
            "SEQSERVE_PORT_8000_TCP_ADDR": "10.0.0.1",
            "HOME": "/",
        }
    )
    assert told == {
        "SEQSERVE_PROT": "did you mean SEQSERVE_PORT?",
        "SEQSERVE_REPOSITORY_POLL_S": "did you mean SEQSERVE_POLL_REPOSITORY_S?",
        "seqserve_zzz": "",
    }


def test_a_server_warns_of_unknown_variables_and_serves(tmp_path: Path) -> None:
    with serving(tmp_path, strict_readiness=False, calibrationms=1) as server:
        event = server.wait_for_event("unknown setting: it changes nothing")
        assert event["variable"] == "SEQSERVE_CALIBRATIONMS"
        assert event["hint"] == "did you mean SEQSERVE_CALIBRATION_MS?"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--host=10.255.0.1"], "host 10.255.0.1 is no address of this machine"),
        (["--host=no.invalid"], "host 'no.invalid' is neither an address nor a name"),
        (["--port={taken}"], "port {taken} of 127.0.0.1 is in use, perhaps by another server"),
        (["--port=0", "--grpc-port={taken}"], "grpc_port {taken} of 127.0.0.1 is in use"),
    ],
)
def test_a_port_that_can_not_be_had_says_what_to_do(
    tmp_path: Path, flags: list[str], says: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        given = [flag.format(taken=taken) for flag in flags]
        ended = run_service(f"--repository={tmp_path}", *given)
    assert ended.returncode == 3
    assert says.format(taken=taken) in ended.stderr
    assert "Errno" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_has_what_matters_first_and_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    flags = re.findall(r"^  --([a-z-]+)", shown, re.MULTILINE)
    assert flags[:5] == ["host", "port", "uds", "grpc-port", "repository"]
    assert sorted(flags) == sorted(name.replace("_", "-") for name in Settings.model_fields)
    assert "(default: 8000)" in shown
    assert "16777216, 16 MiB" in " ".join(shown.split())
    assert "null" not in shown


def test_every_group_of_the_help_names_settings() -> None:
    named = [name for names in GROUPS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= Settings.model_fields.keys()
