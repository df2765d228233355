"""One graph in onnxruntime, on one thread: the engine's threads are the parallelism."""

from __future__ import annotations

import threading
from pathlib import Path

import onnxruntime

from service.errors import BundleError
from service.graphs.runs import FATAL

_memory_made = threading.Event()


NO_LOCALE = "Failed to construct locale"
LOCALE_ADVICE = (
    "; the graph lowers or compares texts by a locale that this machine lacks: install it, or "
    "set the attribute `locale` of its StringNormalizer to C.UTF-8 (docs/export.md)"
)


def open_session(graph: bytes | Path) -> onnxruntime.InferenceSession:
    """Load a graph; several engine threads may run it at a time.

    Args:
        graph: Its bytes; or its file, which may keep its weights in others beside it.

    Raises:
        BundleError: onnxruntime can't load it.
    """
    options = onnxruntime.SessionOptions()
    # more threads inside a run only compete with the engine's
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    limit_memory(0)
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.enable_mem_pattern = False  # shapes vary, patterns would only be re-planned
    options.log_severity_level = FATAL  # what goes wrong, exceptions say
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        advice = LOCALE_ADVICE if NO_LOCALE in str(error) else ""
        raise BundleError(f"onnxruntime can't load the graph: {error}{advice}") from error


def limit_memory(max_bytes: int) -> None:
    """Have all sessions of this process share one memory of this size, as the first call says.

    Args:
        max_bytes: For weights and runs; a run that needs more fails. 0: no limit.
    """
    if not _memory_made.is_set():
        _memory_made.set()
        _share_memory(max_bytes)


def _share_memory(max_bytes: int) -> None:
    """Make the one memory pool that all sessions of this process work in.

    Each would otherwise keep a pool of its own, as large as its largest run ever was.
    """
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    # growing in powers of two: by the size asked for, it fragments as shapes vary
    growth = onnxruntime.OrtArenaCfg({"arena_extend_strategy": 0, "max_mem": max_bytes})
    onnxruntime.create_and_register_allocator(place, growth)
