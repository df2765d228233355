"""`make ray-test`: Seqserve on a Ray cluster of four nodes on this machine, under load throughout.

The head takes the requests, three nodes have a core each for one replica. More replicas are to come
with the load, a node is killed, the settings are changed; no answer may be wrong, and every request
must be answered in the end. Each asks again where Ray's proxy or connection fails it; how often is
said.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

# Ray reads its environment when it is imported; its nodes inherit it
ROOT = Path(__file__).resolve().parents[1]
os.environ |= {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(ROOT),
    "ORT_DISABLE_TELEMETRY": "1",
}
sys.path[0] = str(ROOT)

import ray  # noqa: E402
from ray import serve  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

NODES, CLIENTS, BODIES, FEATURES = 3, 16, 24, 40
HOST = "127.0.0.1"
MODELS = ("digits-lstm", "digits-transformer")
WAIT_S = 90.0
TOLERANCE = 1e-4
"""Of a probability: a batch of another size may round otherwise."""
Body = tuple[str, str]
build = import_module("deploy.ray.application").build  # as `serve` does


def say(text: str) -> None:
    """One line of the report."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait_for(what: str, look: Callable[[], bool]) -> float:
    """Look again and again until it is so; s that it took."""
    began_s = time.monotonic()
    while not look():
        if time.monotonic() - began_s > WAIT_S:
            raise RuntimeError(f"waited {WAIT_S:.0f} s in vain for {what}")
        time.sleep(0.2)
    return time.monotonic() - began_s


def make_bodies() -> list[Body]:
    """A path and a body each, of several lengths."""
    generator = random.Random(0)
    bodies = []
    for number in range(BODIES):
        steps = generator.randrange(5, 120)
        frames = [[generator.gauss(-10, 3) for _ in range(FEATURES)] for _ in range(steps)]
        model = MODELS[number % len(MODELS)]
        bodies.append((f"/v1/models/{model}/predict", json.dumps({"sequences": [frames]})))
    return bodies


class Load:
    """Clients in a closed loop.

    Args:
        port: Of Ray's proxy.
        bodies: To ask.
        expected: The answer to each, as it is when it is asked alone.
    """

    def __init__(self, port: int, bodies: list[Body], expected: list[dict[str, float]]) -> None:
        self._port, self._bodies, self._expected = port, bodies, expected
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask, args=[i]) for i in range(CLIENTS)]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each client have its last answer."""
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def num_answered(self) -> int:
        """So far."""
        with self._lock:
            return self.outcomes["right"] + self.outcomes["wrong"]

    def take(self) -> Counter[str]:
        """What came since the last call."""
        with self._lock:
            taken, self.outcomes = self.outcomes, Counter()
        return taken

    def _ask(self, client: int) -> None:
        generator = random.Random(client)
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        while not self._enough.is_set():
            which = generator.randrange(len(self._bodies))
            answered = False
            while not answered:
                outcome = self._try(connection, which)
                answered = outcome in ("right", "wrong")
                with self._lock:
                    self.outcomes[outcome] += 1
                if not answered:
                    connection.close()
                    time.sleep(0.05)

    def _try(self, connection: http.client.HTTPConnection, which: int) -> str:
        try:
            status, answer = ask(connection, self._bodies[which])
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        if status != 200:
            return f"{status} {answer[:60].decode(errors='replace')!r}"
        return "right" if is_close(probabilities(answer), self._expected[which]) else "wrong"


def ask(connection: http.client.HTTPConnection, body: Body) -> tuple[int, bytes]:
    """One request's status and answer."""
    connection.request("POST", body[0], body[1], {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def probabilities(answer: bytes) -> dict[str, float]:
    """Of the label that was chosen."""
    (prediction,) = json.loads(answer)["predictions"]
    return {prediction["label"]: prediction["probability"]}


def is_close(answer: dict[str, float], expected: dict[str, float]) -> bool:
    """Whether two answers are the same."""
    return answer.keys() == expected.keys() and all(
        abs(answer[label] - expected[label]) <= TOLERANCE for label in expected
    )


def alone(port: int, bodies: list[Body]) -> list[dict[str, float]]:
    """The answer to each when nothing else is asked."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    answers = []
    for body in bodies:
        status, answer = ask(connection, body)
        if status != 200:
            raise RuntimeError(f"{body[0]} answers {status}: {answer[:200]!r}")
        answers.append(probabilities(answer))
    connection.close()
    return answers


def num_running() -> int:
    """Replicas that take requests."""
    (deployment,) = serve.status().applications["seqserve"].deployments.values()
    return int(deployment.replica_states.get("RUNNING", 0))


def deploy(repository: str, **settings: Any) -> None:
    """Roll out these settings; returns once all replicas have them."""
    autoscaling = {
        "min_replicas": 2,
        "max_replicas": NODES,
        "target_ongoing_requests": 4,
        "metrics_interval_s": 1.0,
        "look_back_period_s": 3.0,
        "upscale_delay_s": 1.0,
    }
    given = {"repository": repository, "log_level": "warning", "autoscaling": autoscaling}
    serve.run(build(given | settings), name="seqserve", route_prefix="/")


def judge(what: str, outcomes: Counter[str], *, may_fail: bool) -> None:
    """Say how it went, and refuse what may not be."""
    right, wrong = outcomes.pop("right", 0), outcomes.pop("wrong", 0)
    failed = ", ".join(f"{count} x {outcome}" for outcome, count in outcomes.items())
    say(f"{what}: {right} right, {wrong} wrong, asked again: {failed or 'none'}")
    if wrong or not right or (outcomes and not may_fail):
        raise RuntimeError(f"{what}: not as it should be")


def run(cluster: Cluster, port: int, repository: str) -> None:
    """The whole test on a cluster that has only its head."""
    nodes = [cluster.add_node(num_cpus=1) for _ in range(NODES)]
    # mypy takes deploy/ray for it
    ray.init(  # type: ignore[attr-defined]
        address=cluster.address, log_to_driver=False, logging_level="WARNING"
    )
    quiet = {"enable_access_log": False, "log_level": "WARNING"}
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": HOST, "port": port},
        logging_config=quiet,
    )
    began_s = time.monotonic()
    deploy(repository)
    say(f"{num_running()} replicas on {NODES} nodes after {time.monotonic() - began_s:.1f} s")
    bodies = make_bodies()
    load = Load(port, bodies, alone(port, bodies))
    load.start()
    try:
        took_s = wait_for("more replicas", lambda: num_running() == NODES)
        say(f"autoscaling: {NODES} replicas {took_s:.1f} s after the load began")
        wait_answers(load, 200)
        judge("while scaling up", load.take(), may_fail=False)

        cluster.remove_node(nodes.pop(), allow_graceful=False)
        wait_for("the loss to be seen", lambda: num_running() == NODES - 1)
        wait_answers(load, 300)
        judge("a node killed", load.take(), may_fail=True)

        nodes.append(cluster.add_node(num_cpus=1))
        took_s = wait_for("a replica on a new node", lambda: num_running() == NODES)
        say(f"a new node has a replica {took_s:.1f} s after it came")
        deploy(repository, max_batch_size=6)  # returns once all have it
        wait_answers(load, 200)
        judge("a node added, new settings rolled out", load.take(), may_fail=False)
    finally:
        load.stop()


def wait_answers(load: Load, more: int) -> None:
    """Return when there are so many more."""
    wanted = load.num_answered() + more
    wait_for("answers", lambda: load.num_answered() >= wanted)


def main() -> int:
    """0 if all is well, 1 if not."""
    sessions = tempfile.mkdtemp(prefix="ray-")  # short: its sockets' paths are bounded
    repository = Path(sessions, "repository")
    repository.mkdir()
    for model in MODELS:
        (repository / model).symlink_to(ROOT / "repository" / model)
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    Path(tempfile.gettempdir(), "ray").mkdir(exist_ok=True)  # Ray notes its address there
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "temp_dir": sessions,
        },
    )
    try:
        run(cluster, port, str(repository))
        serve.shutdown()
    except RuntimeError as error:
        say(f"FAILED: {error}\n{serve.status()}")
        return 1
    finally:
        ray.shutdown()  # type: ignore[attr-defined]
        cluster.shutdown()
        shutil.rmtree(sessions, ignore_errors=True)
    say("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
