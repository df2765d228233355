"""How many models serve, and how large: one more is refused, what serves goes on."""

from __future__ import annotations

from tests.http.payloads import frames, predict_body, predict_path
from tests.servers import Server, bundles_folder, serving, wait_until


def states(server: Server) -> dict[str, str]:
    entries = server.client.post("/v2/repository/index").json()
    assert all(entry["state"] == "READY" or "max_models" in entry["reason"] for entry in entries)
    return {entry["name"]: entry["state"] for entry in entries}


def test_models_are_bounded() -> None:
    names = sorted(path.name for path in bundles_folder().iterdir())
    with serving(max_models=3, strict_readiness=False) as server:
        fitting, others = names[:3], names[3:]
        assert states(server) == {n: "READY" if n in fitting else "UNAVAILABLE" for n in names}

        def change(name: str, what: str) -> int:
            return server.client.post(f"/v2/repository/models/{name}/{what}").status_code

        for name in fitting:
            assert change(name, "load") == 200, "it takes its own place"
        assert change(others[0], "load") == 400
        assert change(fitting[0], "unload") == 200
        wait_until(lambda: change(others[0], "load") == 200)
        assert change(fitting[0], "load") == 400
        body = predict_body(frames(3))
        assert server.client.post(predict_path(others[0]), json=body).status_code == 200


def test_their_bytes_are_bounded() -> None:
    sizes = {
        path.name: sum(file.stat().st_size for file in (path / "1").iterdir() if file.is_file())
        for path in sorted(bundles_folder().iterdir())
    }
    first, second = list(sizes)[:2]
    limit = sizes[first] + sizes[second] - 1
    with serving(max_models_bytes=limit, strict_readiness=False) as server:
        ready = [name for name, state in states(server).items() if state == "READY"]
        assert ready[0] == first
        assert second not in ready
        assert sum(sizes[name] for name in ready) <= limit
