"""Bounds that nobody set fit into the memory there is; those that were set stay."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.__main__ import main
from service.memory import limit_bytes
from service.security.budget import memory_bounds
from service.security.fitting import LEAST_STEPS, SHARES, STEPS, check_memory, fit_memory
from service.settings import Settings
from tests.servers import CHECKOUT, serving

MIB, GIB = 1 << 20, 1 << 30
SETTABLE = st.fixed_dictionaries(
    {},
    optional={
        "max_body_bytes": st.integers(1_024, 64 * MIB),
        "max_connections": st.integers(1, 100_000),
        "max_graph_bytes": st.integers(MIB, 8 * GIB),
        "max_upload_bytes": st.integers(0, GIB),
        "grpc_port": st.just(0),
        "max_rpcs": st.integers(1, 4_096),
        "workers": st.integers(1, 8),
        "cache_bytes": st.integers(0, GIB),
        "host": st.sampled_from(["0.0.0.0", "127.0.0.1"]),
    },
)


@settings(max_examples=50)
@given(SETTABLE, st.integers(16 * MIB, 256 * GIB), st.integers(0, 64 * GIB))
def test_whatever_the_limit_all_fits_or_it_is_said(
    given: dict[str, object], limit: int, more: int
) -> None:
    told = Settings.model_validate(given)
    fit = fit_memory(told, limit)
    fitted = fit.settings
    assert fitted.model_dump(include=set(given)) == told.model_dump(include=set(given))
    assert fitted == Settings.model_validate(fitted.model_dump()), "not a setting that is allowed"
    assert fitted.max_graph_bytes is not None
    of_worker = fitted.max_graph_bytes + memory_bounds(fitted).total
    assert fit.needed >= limit // 4 + fitted.workers * of_worker
    if not fit.fits:  # then there was nothing left to take
        for name in SHARES.keys() - given.keys():
            default = Settings.model_fields[name].default
            assert getattr(fitted, name) in (
                default,  # of what the server does not do
                default * SHARES[name] * LEAST_STEPS // STEPS,
                fitted.max_body_bytes,  # for which there must be room
            )
    larger = fit_memory(told, limit + more).settings
    assert all(getattr(larger, name) >= getattr(fitted, name) for name in SHARES)


def test_what_has_no_limit_keeps_its_defaults() -> None:
    defaults = Settings()
    assert fit_memory(defaults, None).settings is defaults
    roomy = fit_memory(defaults, 256 * GIB).settings
    assert memory_bounds(roomy) == memory_bounds(defaults)


def test_a_small_container_lets_in_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a body is reckoned to cost: as by `docker run -m 512m`."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    page = (CHECKOUT / "docs" / "security.md").read_text()
    rows = re.findall(
        r"^\| (\d+) ([MG])iB \| ([\d.]+) MiB \| ([\d.]+) MiB \| (\d+) \|$", page, re.M
    )
    assert len(rows) == 4
    for number, unit, body, bodies, connections in rows:
        fit = fit_memory(Settings(host="0.0.0.0"), int(number) * (MIB if unit == "M" else GIB))
        assert fit.fits
        assert fit.settings.max_body_bytes >= float(body) * MIB
        assert fit.settings.max_bodies_bytes >= float(bodies) * MIB
        assert fit.settings.max_connections >= int(connections)


def test_what_was_set_and_can_not_fit_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_memory(Settings(max_memory_bytes=GIB))
    with pytest.raises(ValueError, match=rf"max_memory_bytes is {GIB}.*2 workers.*bodies \d+"):
        check_memory(Settings(max_memory_bytes=GIB, max_bodies_bytes=GIB, workers=2))
    monkeypatch.setattr("sys.argv", ["service", "--max-memory-bytes", str(64 * MIB)])
    assert main() == 2
    assert capsys.readouterr().err.startswith(f"bad setting: max_memory_bytes is {64 * MIB}")


def test_a_server_tells_what_it_made_smaller_and_that_it_may_not_suffice(tmp_path: Path) -> None:
    """The address space of a process is a limit that needs no rights to set."""
    limited = ("prlimit", f"--as={3 * GIB}")
    with serving(tmp_path, prefix=limited, max_bodies_bytes=GIB, strict_readiness=False) as server:
        said = server.wait_for_event("memory bounded")
        assert said["limit"] == 3 * GIB
        assert said["smaller"]["max_connections"] < 4_096
        assert "max_bodies_bytes" not in said["smaller"]
        warned = server.wait_for_event("memory may not suffice: set smaller bounds, or allow more")
        assert warned["needed"] > warned["limit"] == 3 * GIB


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/\n", {}, None),
        ("0::/\n", {"memory.max": "max"}, None),
        ("0::/\n", {"memory.max": "1000"}, 1000),
        ("0::/a/b\n", {"a/memory.max": "1000", "a/b/memory.max": "max"}, 1000),
        ("0::/a/b\n", {"a/memory.max": "1000", "a/b/memory.max": "900"}, 900),
        ("0::/a\n", {"a/memory.max": "1000", "a/memory.high": "800"}, 800),
        # the name is the machine's, the folder the container's
        ("0::/docker/4f\n", {"memory.max": "1000"}, 1000),
        (
            "4:cpu,memory:/a/b\n3:cpu:/c\n",
            {"memory/a/b/memory.limit_in_bytes": "1000", "memory/c/memory.limit_in_bytes": "7"},
            1000,
        ),
        ("4:memory:/docker/4f\n0::/\n", {"memory/memory.limit_in_bytes": "1000"}, 1000),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("no such line", {"memory.max": "1000"}, 1000),
    ],
)
def test_the_limit_is_the_least_of_all_groups_above(
    tmp_path: Path, own: str, files: dict[str, str], limit: int | None
) -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (tmp_path / "own").write_text(own)
    assert limit_bytes(tmp_path / "cgroup", tmp_path / "own") == limit
