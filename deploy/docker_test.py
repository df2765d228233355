"""`make docker-test`: build the image, run it beside Prometheus, predict, look, stop, tear down.

What README and docs/docker.md say about containers is what this does. It needs a Docker engine with
Compose and nothing else; without one it says that it was skipped. Its containers have their own
project name and free ports, so that it can run beside a stack that is already up.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any

from dashboard import dashboard_queries
from docker_hostile import survive_hostile
from docker_stack import ROOT, Stack, fetch, run, say, wait_for, wait_healthy

INSIDE = ROOT / "deploy" / "docker_inside.py"
DEMO_LOAD = ROOT / "deploy" / "demo_load.py"
RECORDING = ROOT / "examples" / "7_jackson_3.wav"
GRACE_S = 40.0  # stop_grace_period in docker-compose.yml


def build(stack: Stack) -> None:
    """Build the image, with and without the bundles; how long it took and how large they are."""
    started_s = time.monotonic()
    stack.compose("build", "seqserve")
    say(f"built in {time.monotonic() - started_s:.0f} s")
    image, server = stack.environment["SEQSERVE_IMAGE"], server_image(stack)
    network = os.environ.get("SEQSERVE_BUILD_NETWORK", "default")
    run("docker", "build", "--quiet", "--network", network, "--target", "server", "-t", server, ".")
    (described,) = json.loads(run("docker", "image", "inspect", image))
    base = described["Config"]["Labels"]["org.opencontainers.image.base.name"]
    base_size = size_of(base)
    say(f"its base {base} {base_size / 1e6:.1f} MB")
    for what, tag in {"image": image, "without bundles (--target server)": server}.items():
        size = size_of(tag)
        say(f"{what} {size / 1e6:.1f} MB, over its base {(size - base_size) / 1e6:.1f} MB")


def server_image(stack: Stack) -> str:
    """The tag of the image without bundles."""
    return f"{stack.environment['SEQSERVE_IMAGE']}-server"


def size_of(image: str) -> int:
    """Of all its layers, in bytes."""
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image))


def serve_mounted(stack: Stack) -> None:
    """The image without bundles serves those of a folder that it is given."""
    started_s = time.monotonic()
    given = "--read-only", "--cap-drop", "ALL", "-v", f"{ROOT / 'repository'}:/srv/repository:ro"
    container = run("docker", "run", "--detach", *given, server_image(stack))
    try:
        wait_healthy(container, 90)
        run("docker", "stop", container)
        code = run("docker", "inspect", "--format", "{{.State.ExitCode}}", container)
        if code != "0":
            raise RuntimeError(f"the image without bundles ended with {code}")
    finally:
        run("docker", "rm", "--force", container)
        run("docker", "image", "rm", server_image(stack))
    elapsed_s = time.monotonic() - started_s
    say(f"without bundles: healthy with a mounted folder, and stopped, within {elapsed_s:.0f} s")


def start(stack: Stack) -> str:
    """Start both; the container's id once Docker finds it healthy."""
    started_s = time.monotonic()
    stack.compose("up", "--detach", "seqserve", "prometheus")

    def ready() -> bool | None:
        return fetch(f"{stack.url}/v2/health/ready")[0] == 200 or None

    wait_for("readiness", ready, 90)
    say(f"ready {time.monotonic() - started_s:.1f} s after `docker compose up`")
    container = stack.compose("ps", "--quiet", "seqserve")
    wait_healthy(container, 30)
    say("Docker's health check: healthy")
    return container


def look_inside(stack: Stack, container: str) -> None:
    """Not root, nothing writable, no capability, torch or compiler; its version label is true."""
    found = json.loads(
        run("docker", "exec", "-i", container, "python", "-", stdin=INSIDE.read_text())
    )
    expected = {
        "uid": 10001, "capabilities": 0, "no_new_privileges": 1,
        "writable": [], "unwanted": [], "compilers": [], "licences_missing": [],
    }  # fmt: skip
    if found != expected:
        raise RuntimeError(f"inside the container: {found}, expected {expected}")
    label = '{{index .Config.Labels "org.opencontainers.image.version"}}'
    labelled = run("docker", "inspect", "--format", label, container)
    version = fetch(f"{stack.url}/v2")[1]["version"]
    if labelled != version:
        raise RuntimeError(f"the image's label says version {labelled}, the service {version}")
    say("inside: uid 10001, no capabilities, nothing writable; no torch, training, compiler;")
    say("  licences in their places")


def read_logs(stack: Stack) -> None:
    """Every line is JSON: nothing prints past the structured logs."""
    lines = stack.compose("logs", "--no-color", "--no-log-prefix", "seqserve").splitlines()
    for line in lines:
        # some versions of Compose begin a line with "erase it", whatever the output is
        if not line.removeprefix("\x1b[2K").startswith("{"):
            raise RuntimeError(f"a log line is not JSON: {line}")
    say(f"logs: {len(lines)} lines, all JSON")


def hears_digits(model: dict[str, Any]) -> bool:
    """Whether a model, as the server lists it, says which digit is spoken in a recording."""
    is_spoken = model["task"] == "classification" and bool(model.get("audio"))
    return is_spoken and model.get("labels") == [str(digit) for digit in range(10)]


def predict(stack: Stack, sent: Counter[str]) -> str:
    """Every model by its own example; of a seven's recording most must hear a seven.

    The tree may have bundles of one's own: of those that hear recordings of other things, and of
    those without a task, nothing more is asked than they say themselves.

    Returns:
        A model that hears digits.
    """
    recording = RECORDING.read_bytes()
    paths = fetch(f"{stack.url}/openapi.json")[1]["paths"]
    heard: dict[str, Any] = {}
    for model in fetch(f"{stack.url}/v1/models")[1]["models"]:
        name, path = model["name"], f"/v1/models/{model['name']}/predict"
        if path not in paths:
            say(f"  {name}: has no example, not asked")
            continue
        hears = hears_digits(model)
        if hears:
            status, body = fetch(f"{stack.url}{path}", recording, "audio/wav")
        else:
            content = paths[path]["post"]["requestBody"]["content"]["application/json"]
            example = json.dumps(content["examples"]["example"]["value"]).encode()
            status, body = fetch(f"{stack.url}{path}", example, "application/json")
        if status != 200:
            raise RuntimeError(f"{name} answers {status}: {body}")
        sent[name] += 1
        if hears:
            (heard[name],) = body["predictions"]
    if not heard:
        raise RuntimeError("no model hears digits: the bundled ones are not in the repository")
    if sum(answer["label"] == "7" for answer in heard.values()) <= len(heard) / 2:
        raise RuntimeError(f"{RECORDING.name} is not heard as a seven: {heard}")
    for name, answer in heard.items():
        say(f"  {name}: {answer['label']} ({answer['probability']:.3f})")
    return next(iter(heard))


def find_in_prometheus(stack: Stack, sent: Counter[str]) -> None:
    """Prometheus has counted each model's requests, no more and no fewer."""
    expression = 'sum by (model) (seqserve_requests_total{protocol="v1", outcome="ok"})'

    def counted() -> bool | None:
        found = {s["metric"]["model"]: int(s["value"][1]) for s in stack.query(expression)}
        return found == sent or None

    wait_for("Prometheus to count the requests", counted, 30)
    say(f"Prometheus: {sum(sent.values())} requests to {len(sent)} models in {expression}")


def check_dashboard(stack: Stack) -> None:
    """Each query of the dashboard finds data while the demo load, good and bad, comes in."""
    # drift is told over hundreds of sequences: `make monitoring-test` waits for it
    queries = [(name, asked) for name, asked in dashboard_queries() if "stability" not in asked]
    command = [sys.executable, str(DEMO_LOAD), stack.url, "--seconds", "900"]
    load = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for name, expression in queries:

            def data(expression: str = expression) -> list[dict[str, Any]] | None:
                return stack.query(expression) or None

            wait_for(f"data in {name}: {expression}", data, 60)
    finally:
        load.terminate()
        load.wait()
    say(f"dashboard: {len(queries)} queries, each with data")


def stop(stack: Stack, container: str, model: str) -> None:
    """SIGTERM while a request's body is still coming: it is answered, then the process ends, 0."""
    recording = RECORDING.read_bytes()
    half = len(recording) // 2
    head = (
        f"POST /v1/models/{model}/predict HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: audio/wav\r\nContent-Length: {len(recording)}\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as slow:
        slow.sendall(head.encode())
        if b"100 Continue" not in slow.recv(1024):  # the endpoint waits for the body now
            raise RuntimeError("the server does not ask for the slow request's body")
        slow.sendall(recording[:half])
        started_s = time.monotonic()
        stopping = threading.Thread(target=stack.compose, args=("stop", "seqserve"))
        stopping.start()

        def refuses() -> bool | None:
            try:
                return fetch(f"{stack.url}/v2/health/ready")[0] == 503 or None
            except OSError:
                return True

        wait_for("the server to refuse new requests", refuses, 10)
        slow.sendall(recording[half:])
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
    stopping.join()
    elapsed_s = time.monotonic() - started_s
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the request in flight was not answered: {answer[:200]!r}")
    state = json.loads(run("docker", "inspect", "--format", "{{json .State}}", container))
    if state["ExitCode"] != 0 or elapsed_s >= GRACE_S:
        raise RuntimeError(f"not a clean end: exit code {state['ExitCode']} in {elapsed_s:.1f} s")
    say(f"SIGTERM: the request in flight was answered, exit code 0 after {elapsed_s:.1f} s")


def main() -> int:
    """0 if all is well or there is no engine, 1 if not."""
    try:
        run("docker", "info")
        run("docker", "compose", "version")
    except (OSError, RuntimeError):
        say("skipped: no Docker engine with Compose answers")
        return 0
    stack = Stack()
    sent: Counter[str] = Counter()
    try:
        build(stack)
        container = start(stack)
        look_inside(stack, container)
        hearing = predict(stack, sent)
        find_in_prometheus(stack, sent)
        check_dashboard(stack)
        stop(stack, container, model=hearing)
        read_logs(stack)
        serve_mounted(stack)
        survive_hostile(stack.environment["SEQSERVE_IMAGE"])
    except (RuntimeError, OSError) as error:
        say(f"FAILED: {error}")
        say(stack.compose("logs", "--no-color", "--tail", "40"))
        return 1
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
    say("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
