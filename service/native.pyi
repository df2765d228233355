"""What `native/` gives Python: schedulers, engine, and the requests known by heart."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from service.errors import ServiceError

Floats = NDArray[np.float32]

PATIENCE: list[float]
CAUTION: float

class Distribution:
    def __init__(self, bounds: Items[float]) -> None: ...
    def observe(self, value: float, trace_id: str = "") -> None: ...
    def take_exemplars(self) -> list[tuple[int, str, float, float]]: ...
    def counts(self) -> list[int]: ...
    def total(self) -> float: ...

class Timing:
    count: int
    total_s: float
    def add(self, seconds: float) -> None: ...

class StageTally:
    success: Timing
    fail: Timing
    input: Timing
    queue: Timing
    infer: Timing
    output: Timing
    cache_hit: Timing
    cache_miss: Timing
    rows: float
    last_s: float
    def observe(
        self,
        begun_s: float,
        submitted_s: float,
        ran_s: float,
        done_s: float,
        answered_s: float,
        num_rows: int,
    ) -> None: ...

class BatchStages:
    input: Timing
    infer: Timing
    output: Timing

class BatchTally:
    def sizes(self) -> list[int]: ...
    def of(self, num_rows: int) -> BatchStages: ...

class RunTally:
    queue_s: Distribution
    compute_s: Distribution
    rows: Distribution
    cpu_s: float
    predicted_s: float
    misprediction_s: float
    real_cells: float
    padded_cells: float
    batches: BatchTally
    stages: StageTally
    def __init__(self, seconds: Items[float], rows: Items[float]) -> None: ...

class CostTable:
    def __init__(self, seconds: Items[Items[float]], stride: int, max_steps: int) -> None: ...
    def predict(self, rows: int, steps: int) -> float: ...
    def longest(self, rows: int, max_s: float) -> int: ...
    def observe(self, rows: int, steps: int, cpu_s: float) -> None: ...
    @property
    def cell_s(self) -> float: ...
    @property
    def max_rows(self) -> int: ...
    @property
    def max_steps(self) -> int: ...

class Bounds:
    def __init__(
        self,
        engine_threads: int,
        max_batch_size: int,
        max_run_s: float,
        chunk_steps: int,
        max_active_sequences: int,
        max_padding_ratio: float,
        max_queue_size: int,
        max_queue_cells: int,
    ) -> None: ...

class Sequence:
    job: Job
    position: int
    left: int
    slot: int

class Job:
    on_done: Callable[[Job], None]
    failure: Exception | None
    submitted_s: float
    deadline_s: float
    due_s: float
    priority: int
    num_cells: int
    num_sequences: int
    work_s: float
    ran_s: float
    done_s: float
    prepared_s: float
    num_runs: int
    max_rows: int
    gone: bool
    request_id: str
    trace_parent: str
    trace_response: str
    waited_s: float
    keep_alive: bool
    sequences: list[Sequence]
    outputs: list[bytes]
    lengths: list[int]
    @overload
    def __init__(self, sequences: Items[NDArray[Any]], priority: int, timeout_s: float) -> None: ...
    @overload
    def __init__(self, num_rows: int, kind: int, priority: int, timeout_s: float) -> None: ...
    @overload
    def __init__(
        self, *, turns: Items[int], rows: Items[int], priority: int, timeout_s: float
    ) -> None: ...
    def steps(self, step_bytes: int) -> NDArray[np.uint8]: ...

class Workspace: ...

class Run:
    sequences: list[Sequence]
    places: list[tuple[Job, int]]
    counts: list[int]
    num_rows: int
    num_steps: int
    num_real: int
    cpu_s: float
    elapsed_s: float
    is_usual: bool
    def finish(self, row: int) -> None: ...

class GraphSpec:
    def __init__(
        self,
        step_bytes: int,
        is_ragged: bool,
        outputs: Items[tuple[bool, int, int, int, int]],
        state: Items[tuple[Items[int], float]],
    ) -> None: ...

class Sampler:
    def __init__(self, share: float) -> None: ...
    def offer(self, job: Job, num_bytes: int) -> None: ...
    def take(self) -> list[Job]: ...

class Scheduler:
    sampler: Sampler | None
    num_waiting: int
    num_active: int
    next_due: float
    quarantine_left_s: float
    pool: list[Sequence]
    def enqueue(self, job: Job) -> None: ...
    def forget(self, job: Job) -> None: ...
    def take(self) -> Run | None: ...
    def quarantine(self, seconds: float) -> None: ...
    def prepare(self, run: Run, workspace: Workspace) -> None: ...
    def tensors(
        self, run: Run, workspace: Workspace
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], *tuple[Floats, ...]]: ...
    def complete(
        self, run: Run, outputs: Items[NDArray[Any]], state: Items[NDArray[Any]]
    ) -> list[Job]: ...
    def fail(self, run: Run) -> list[Job]: ...
    def fail_rows(self, run: Run, rows: Items[int]) -> list[Job | None]: ...

class CellScheduler(Scheduler):
    free_slots: list[int]
    def __init__(
        self,
        bounds: Bounds,
        cost: CostTable,
        tally: RunTally,
        graph: GraphSpec,
    ) -> None: ...

class SequenceScheduler(Scheduler):
    def __init__(
        self, bounds: Bounds, cost: CostTable, tally: RunTally, graph: GraphSpec
    ) -> None: ...
    def cut(self, lengths: Items[int]) -> list[int]: ...

class TensorScheduler(Scheduler):
    def __init__(self, bounds: Bounds, cost: CostTable, tally: RunTally) -> None: ...

class TurnScheduler(Scheduler):
    def __init__(self, bounds: Bounds, cost: CostTable, tally: RunTally) -> None: ...

class Backlog:
    wait_s: float
    def __init__(self, num_threads: int) -> None: ...
    def note_lag(self, lag_s: float) -> None: ...
    def add(self, work_s: float) -> None: ...
    def remove(self, work_s: float, done: bool) -> None: ...

class Admission:
    def __init__(self, name: str, scheduler: Scheduler, backlog: Backlog) -> None: ...
    def enter(self, job: Job, timeout_s: float) -> None: ...
    def leave(self, job: Job, done: bool) -> None: ...

class Engine:
    ready_fd: int
    is_closed: bool
    next_deadline_s: float
    def __init__(self, num_threads: int) -> None: ...
    def add(self, scheduler: Scheduler, name: str) -> None: ...
    def remove(self, scheduler: Scheduler) -> bool: ...
    def num_waiting(self, scheduler: Scheduler) -> int: ...
    def fill(self, scheduler: Scheduler) -> float: ...
    def check_room(self, timeout_s: float) -> None: ...
    def note_lag(self, lag_s: float) -> None: ...
    def submit(self, scheduler: Scheduler, job: Job, timeout_s: float) -> None: ...
    def give_up(self, job: Job) -> bool: ...
    def expire(self, now_s: float) -> list[Job]: ...
    def give_up_all(self, scheduler: Scheduler) -> list[Job]: ...
    def collect(self) -> list[Job]: ...
    def give_up_failed(self, jobs: Items[Job]) -> list[Job]: ...
    def close(self) -> None: ...
    def next(self, workspace: Workspace) -> tuple[Scheduler, Run] | None: ...
    def take(self) -> tuple[Scheduler, Run] | None: ...
    def complete(
        self,
        taken: tuple[Scheduler, Run],
        outputs: Items[NDArray[Any]],
        state: Items[NDArray[Any]],
    ) -> None: ...
    def complete_apart(
        self,
        taken: tuple[Scheduler, Run],
        outputs: Items[NDArray[Any]],
        state: Items[NDArray[Any]],
        failed: Items[int],
    ) -> list[Job | None]: ...
    def fail(self, taken: tuple[Scheduler, Run]) -> list[Job]: ...

Span = tuple[int, int]

def cuts_of(body: bytes, json_bytes: int) -> tuple[Span, Span | None] | None: ...
def read_trace_parent(header: bytes) -> str: ...
def sampled_trace_id(trace_parent: str) -> str: ...
def read_numbers(array: bytes, count: int) -> Floats | None: ...
def write_numbers(values: Floats) -> bytes: ...

class HeadReader:
    def __init__(self, names: Items[bytes]) -> None: ...
    def read(self, data: bytes) -> tuple[bytes, int, int, bytes, str, bytes, bytes] | None: ...

class HotHead:
    def __init__(self, head_id: int, model: str, keep_alive: bool, json_bytes: int) -> None: ...

class Plan:
    def __init__(
        self,
        *,
        is_text: bool,
        num_bytes: int,
        inputs_start: int,
        batch: int,
        steps: int,
        features: int,
        lengths: Items[int],
        lengths_start: int,
        scheduler: Scheduler,
        max_length: int,
        priority: int,
        timeout_s: float,
        header_lines: bytes,
        before_id: bytes,
        pieces: Items[tuple[bytes, int, bool]],
        behind: bytes,
        elapsed_s: Distribution,
    ) -> None: ...

class FastPath:
    default_lines: bytes
    def __init__(
        self, engine: Engine, reader: HeadReader, timeout_s: float, max_body_bytes: int
    ) -> None: ...
    def learn_head(self, head: bytes, hot: HotHead) -> None: ...
    def comes_again(self, model: str, body: bytes, json_bytes: int) -> bool: ...
    def learn_plan(self, model: str, body: bytes, json_bytes: int, plan: Plan) -> None: ...
    def forget(self) -> None: ...
    def receive(
        self, data: bytes, waited_s: float = 0.0
    ) -> tuple[int, int, bytes, Job | None, ServiceError | None, str] | None: ...
    def respond(self, job: Job) -> bytes | None: ...

class Quota:
    def __init__(
        self,
        *,
        words: Buffer,
        num_processes: int,
        process: int,
        requests_per_s: float,
        burst: float,
        max_concurrent: int,
    ) -> None: ...
    def take(self, now_ns: int) -> int | None: ...
    def leave(self) -> None: ...
