"""What the command line says: of bad flags, variables and ports, and its help."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service.__main__ import main
from service.flags import GROUPS, read_settings, unknown_variables
from service.settings import Settings
from tests.servers import serving

ROOT = Path(__file__).parent.parent


pytestmark = pytest.mark.usefixtures("clean_environment")


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
