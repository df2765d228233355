"""TorchServe: an archive for each model with a handler of our own, two workers each."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from graph import MODELS

WORKERS = {
    "defaultVersion": True,
    "minWorkers": 2,
    "maxWorkers": 2,
    "batchSize": 32,
    "maxBatchDelay": 2,
    "responseTimeout": 120,
}
LOGS = """<Configuration>
  <Appenders><Console name="out"><PatternLayout pattern="%d %-5p %c - %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    with ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def main() -> None:
    """Archive the models in the working folder, then become TorchServe."""
    repository, port = sys.argv[1:]
    scripts = Path(sys.executable).parent
    laid_out = Path.cwd() / "torchserve"
    shutil.rmtree(laid_out, ignore_errors=True)
    laid_out.mkdir()
    for name in MODELS:
        archive = ["--model-name", name, "--version", "1.0", "--export-path", laid_out]
        handler = Path(__file__).parent / "handler.py"
        subprocess.run(
            [scripts / "torch-model-archiver", *archive, "--handler", handler], check=True
        )
    management, metrics, grpc, grpc_management, workers = free_ports(5)
    models = {name: {"1.0": {**WORKERS, "marName": f"{name}.mar"}} for name in MODELS}
    config = {
        "inference_address": f"http://127.0.0.1:{port}",
        "management_address": f"http://127.0.0.1:{management}",
        "metrics_address": f"http://127.0.0.1:{metrics}",
        "grpc_inference_port": grpc,
        "grpc_management_port": grpc_management,
        "initial_worker_port": workers,
        "load_models": ",".join(f"{name}.mar" for name in MODELS),
        "models": json.dumps(models),
        "job_queue_size": 1_000,
    }
    (laid_out / "config.properties").write_text(
        "".join(f"{key}={value}\n" for key, value in config.items())
    )
    (laid_out / "log4j2.xml").write_text(LOGS)
    os.environ["BENCH_REPOSITORY"] = repository
    arguments = ["--start", "--foreground", "--disable-token-auth", "--no-config-snapshots"]
    arguments += ["--model-store", laid_out, "--ts-config", laid_out / "config.properties"]
    arguments += ["--log-config", laid_out / "log4j2.xml"]
    os.execv(scripts / "torchserve", ["torchserve", *map(str, arguments)])


if __name__ == "__main__":
    main()
