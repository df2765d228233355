"""Triton's own binary, which pytriton's wheel carries, with its Python backend."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import pytriton
from graph import MODELS

CONFIG = """
name: "{name}"
backend: "python"
max_batch_size: 32
input [
  {{ name: "inputs" data_type: TYPE_FP32 dims: [ -1, 16 ] allow_ragged_batch: true }},
  {{ name: "lengths" data_type: TYPE_INT64 dims: [ 1 ] optional: true allow_ragged_batch: true }}
]
output [ {{ name: "logits" data_type: TYPE_FP32 dims: [ 10 ] }} ]
dynamic_batching {{ max_queue_delay_microseconds: 0 }}
instance_group [ {{ kind: KIND_CPU count: 2 }} ]
parameters [ {{ key: "repository" value: {{ string_value: "{repository}" }} }} ]
"""


def main() -> None:
    """Lay out models and backend in the working folder, then become Triton."""
    repository, port = sys.argv[1:]
    home = Path(pytriton.__file__).parent / "tritonserver"
    laid_out = Path.cwd() / "triton"
    shutil.rmtree(laid_out, ignore_errors=True)
    models, backend = laid_out / "models", laid_out / "backends" / "python"
    backend.mkdir(parents=True)
    stub = home / "python_backend_stubs" / "{}.{}".format(*sys.version_info)
    for file in [*(home / "backends" / "python").iterdir(), *stub.iterdir()]:
        (backend / file.name).symlink_to(file)
    for name in MODELS:
        version = models / name / "1"
        version.mkdir(parents=True)
        shutil.copy(Path(__file__).parent / "model.py", version)
        (models / name / "config.pbtxt").write_text(CONFIG.format(name=name, repository=repository))
    arguments = [
        f"--model-repository={models}",
        f"--backend-directory={backend.parent}",
        "--http-address=127.0.0.1",
        f"--http-port={port}",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--log-info=false",
        "--exit-timeout-secs=5",
        f"--backend-config=python,shm-region-prefix-name=bench-triton-{port}",
    ]
    # the interpreter that Triton embeds must load the libpython of the standard library it finds
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    os.environ["PYTHONPATH"] += f":{sysconfig.get_path('purelib')}"
    os.execv(home / "bin" / "tritonserver", ["tritonserver", *arguments])


if __name__ == "__main__":
    main()
