"""A decoder: every run takes one turn of each of its texts, which join and leave at any run.

Who takes a turn is chosen in `native/schedule/turns.hpp`. The texts' state stays in the arrays that
the last run gave, and is fed from there as long as the same texts run together; it is gathered anew
only where one joins, ends, or a beam goes on from other rows.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from service import native
from service.decoding.prompt import Generated, Prompt
from service.decoding.sampling import Samplers, choose
from service.errors import InferenceError, InvalidSequenceError
from service.graphs.decoder import Decoder
from service.graphs.decoder_states import States, gather
from service.schedulers.bounds import Bounds
from service.schedulers.decoding_cost import calibrate_decoder
from service.schedulers.generation import (
    BeamGeneration,
    Generation,
    Group,
    SamplingGeneration,
    begin,
)
from service.schedulers.job import Job
from service.schedulers.scheduler import Outputs, Scheduler
from service.telemetry.metrics import ModelMetrics

log = structlog.get_logger(__name__)

PROMPT_CHUNK = (
    64  # tokens of a prompt fed at a time: those that wait for the next turn wait so long
)


class News(NamedTuple):
    """A token that somebody is to be told of, on the event loop."""

    job: native.Job
    stream: Callable[[int, float], None]
    token: int
    logprob: float


class DecodingJob(Job):
    """One request's texts.

    Args:
        generations: One a prompt.
        turns: That each may take.
        on_done: Told, on the event loop and once, that there are results or a failure.
        priority: 1 (high) to 3 (low).
        timeout_s: As long as its caller waits.
    """

    __slots__ = ()

    def __init__(
        self,
        generations: list[Generation],
        turns: list[int],
        on_done: Callable[[Job], None],
        priority: int,
        timeout_s: float,
    ) -> None:
        rows = [it.prompt.num_rows for it in generations]
        super().__init__(turns=turns, rows=rows, priority=priority, timeout_s=timeout_s)
        self.on_done = on_done  # type: ignore[assignment]  # told of no other job than this
        self.failure: Exception | None = None
        self.generations = generations


class Turn(NamedTuple):
    """One text's part of a run."""

    row: int
    job: DecodingJob
    generation: Generation


class DecodingScheduler(Scheduler):
    """Runs a decoder's texts, a turn of each at a time.

    Args:
        decoder: What runs them.
        bounds: How much at a time.
        metrics: This model's.
    """

    def __init__(self, decoder: Decoder, bounds: Bounds, metrics: ModelMetrics) -> None:
        self.decoder = decoder
        cost = calibrate_decoder(decoder, bounds, metrics.name)
        super().__init__(
            native.TurnScheduler(bounds.native(), cost, metrics.tally), bounds, cost, metrics
        )
        self._chunk_steps = bounds.chunk_steps or PROMPT_CHUNK
        self._forbidden = list(decoder.spec.forbidden)
        self._tokens = metrics.tokens
        self._news: deque[News] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # of those that are streamed to

    def make_job(
        self,
        asked: Sequence[Prompt],
        on_done: Callable[[Job], None],
        priority: int,
        timeout_s: float,
    ) -> Job:
        """A job of these prompts, whose tokens are of the vocabulary.

        Raises:
            InvalidSequenceError: One is too long.
        """
        for index, prompt in enumerate(asked):
            self._check(prompt, index)
        if any(prompt.stream is not None for prompt in asked):
            self._loop = asyncio.get_running_loop()
            on_done = _after(self._deliver, on_done)
        generations = [begin(it, self._chunk_steps, self.decoder.spec.end) for it in asked]
        turns = [
            -(-len(it.tokens) // self._chunk_steps) + it.strategy.max_tokens - 1 for it in asked
        ]
        return DecodingJob(generations, turns, on_done, priority, timeout_s)

    def _check(self, prompt: Prompt, index: int) -> None:
        spec = self.decoder.spec
        given, made = len(prompt.tokens), prompt.strategy.max_tokens
        most = spec.max_length
        if spec.cache and spec.cache.window is None:
            most = min(most, spec.cache.max_steps)
        if given < 1 or made < 1 or given + made > most:
            raise InvalidSequenceError(
                f"sequence {index} has {given} tokens and may have {made} more, "
                f"all together 2 to {most} are possible",
                "max_tokens",
            )
        if (prompt.source is None) != (spec.memory is None):
            raise InvalidSequenceError("a source goes with an encoder", "inputs")
        if spec.memory and prompt.source is not None:
            size, longest = len(prompt.source), spec.memory.max_length
            if not 1 <= size <= longest:
                message = f"source {index} has {size} tokens, 1 to {longest} are possible"
                raise InvalidSequenceError(message, "inputs")

    def compute(self, run: native.Run, workspace: native.Workspace) -> Outputs:
        """Take one turn of each text of a run."""
        turns = [
            Turn(row, job, job.generations[index])
            for row, (job, index) in enumerate(run.places)
            if isinstance(job, DecodingJob)  # one whose caller left may be no more than its place
        ]
        new = [it.generation for it in turns if it.generation.group is None]
        if new:
            self._begin(new)
        num_tokens = 0
        for together in _alike(turns):
            num_tokens += self._step(run, together)
        self._tokens.generated.inc(num_tokens)
        self._post_news()
        return [], []

    def _begin(self, new: list[Generation]) -> None:
        """Give texts their first state; with an encoder, read their sources."""
        if not self.decoder.spec.memory:
            states = States.begin(self.decoder.spec, len(new), {})
            _place(Group(states, [it.serial for it in new]), new)
            return
        by_size: dict[int, list[Generation]] = {}
        for it in new:
            assert it.prompt.source is not None
            by_size.setdefault(len(it.prompt.source).bit_length(), []).append(it)
        for together in by_size.values():
            sources = [it.prompt.source.tolist() for it in together if it.prompt.source is not None]
            tokens, lengths = _padded(sources)
            encoded = self.decoder.encode(tokens, lengths)
            states = States.begin(self.decoder.spec, len(together), encoded, lengths)
            _place(Group(states, [it.serial for it in together]), together)

    def _step(self, run: native.Run, turns: list[Turn]) -> int:
        """Run texts that feed about as much; how many tokens that gave."""
        spec = self.decoder.spec
        generations = [it.generation for it in turns]
        group = _group_of(generations)
        tokens, lengths = _padded([piece for it in generations for piece in it.pieces])
        outputs = self.decoder.run(tokens, lengths, group.states.feed())
        group.states = group.states.after(outputs, lengths)
        logits = outputs[spec.logits]
        if self._forbidden:
            logits[:, self._forbidden] = -np.inf
        attention = outputs[spec.attention] if spec.attention else None
        drawing = []
        num_tokens = 0
        for it in turns:
            generation = it.generation
            if generation.is_reading:
                generation.read_on()
            elif isinstance(generation, BeamGeneration):
                self._search(run, it, generation, logits, attention)
                num_tokens += 1
            else:
                drawing.append(it)
        if drawing:
            self._draw(run, drawing, group, logits, attention)
        return num_tokens + len(drawing)

    def _search(
        self,
        run: native.Run,
        turn: Turn,
        generation: BeamGeneration,
        logits: NDArray[np.float32],
        attention: NDArray[np.float32] | None,
    ) -> None:
        rows = slice(generation.first, generation.first + len(generation.pieces))
        source = generation.prompt.source
        seen = None
        if attention is not None:
            seen = attention[rows, : None if source is None else len(source)]
        self._note_time(turn)
        try:
            goes_on = generation.advance(logits[rows], seen)
        except Exception as error:  # noqa: BLE001 - of any kind: its neighbours go on
            self._fail(turn, error)
            goes_on = False
        if not goes_on:
            self._finish(run, turn)

    def _draw(
        self,
        run: native.Run,
        turns: list[Turn],
        group: Group,
        logits: NDArray[np.float32],
        attention: NDArray[np.float32] | None,
    ) -> None:
        drawing = [it.generation for it in turns]
        if len(drawing) < len(logits):
            rows = [it.first for it in drawing]
            logits = logits[rows]
            attention = None if attention is None else attention[rows]
        samplers = group.samplers
        if samplers is None or len(drawing) < len(group.serials):
            samplers = Samplers([_sampling(it).strategy for it in drawing])
            group.samplers = samplers if len(drawing) == len(group.serials) else None
        uniforms = [_sampling(drawing[row]).uniform() for row in samplers.drawn.tolist()]
        chosen = choose(logits, samplers, uniforms)
        both = zip(chosen.tokens.tolist(), chosen.logprobs.tolist(), strict=True)
        for row, (turn, (token, logprob)) in enumerate(zip(turns, both, strict=True)):
            generation = _sampling(turn.generation)
            self._note_time(turn)
            seen = None
            if attention is not None:
                source = generation.prompt.source
                seen = attention[row, : None if source is None else len(source)]
            try:
                if logprob != logprob:  # not a number
                    raise ValueError("the logits are no numbers")
                goes_on = generation.accept(chosen, row, token, logprob, seen)
            except Exception as error:  # noqa: BLE001 - of any kind: its neighbours go on
                self._fail(turn, error)
                goes_on = False
            stream = generation.prompt.stream
            if stream is not None and generation.tokens[-1:] == [token]:
                self._news.append(News(turn.job, stream, token, logprob))
            if not goes_on:
                self._finish(run, turn)

    def _note_time(self, turn: Turn) -> None:
        now_s = time.perf_counter()
        last_s = turn.generation.last_s
        if last_s is None:
            self._tokens.first_s.observe(now_s - turn.job.submitted_s)
        else:
            self._tokens.interval_s.observe(now_s - last_s)
        turn.generation.last_s = now_s

    def _fail(self, turn: Turn, error: Exception) -> None:
        log.error("a text failed", model=self.name, version=self.version, exc_info=error)
        turn.generation.failure = error

    def _finish(self, run: native.Run, turn: Turn) -> None:
        """End a text, whose state nobody needs any more."""
        run.finish(turn.row)
        turn.generation.group = None

    def _post_news(self) -> None:
        """Have the event loop tell of all tokens of a run at once."""
        if self._news and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody listens any more
                self._news.clear()

    def _deliver(self) -> None:
        while self._news:
            news = self._news.popleft()
            if news.job.gone:
                continue
            try:
                news.stream(news.token, news.logprob)
            except Exception:
                log.exception("a caller failed on a token")

    def num_rows(self, job: native.Job) -> int:
        """Its texts."""
        return job.num_sequences

    def results(self, job: native.Job) -> list[list[Generated]]:
        """Of each prompt what was made, best first: one text, or the best of a beam.

        Raises:
            InferenceError: One failed.
        """
        assert isinstance(job, DecodingJob)
        for generation in job.generations:
            if generation.failure is not None:
                raise InferenceError(f"{self.name} failed on this text") from generation.failure
        return [generation.results() for generation in job.generations]


def _sampling(generation: Generation) -> SamplingGeneration:
    assert isinstance(generation, SamplingGeneration)
    return generation


def _after(first: Callable[[], None], then: Callable[[Job], None]) -> Callable[[Job], None]:
    """Both; so that every token is told before the end."""

    def told(job: Job) -> None:
        first()
        then(job)

    return told


def _alike(turns: list[Turn]) -> Iterable[list[Turn]]:
    """Those that feed about as many tokens: less than twice as many as each other."""
    by_size: dict[int, list[Turn]] = {}
    for turn in turns:
        by_size.setdefault(len(turn.generation.pieces[0]).bit_length(), []).append(turn)
    return by_size.values()


def _padded(rows: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens as one batch (rows, longest), zero past each; how long each is."""
    lengths = list(map(len, rows))
    longest = max(lengths)
    if longest == min(lengths):
        return np.array(rows, dtype=np.int64), np.array(lengths, dtype=np.int64)
    tokens = np.zeros((len(rows), longest), dtype=np.int64)
    for row, values in zip(tokens, rows, strict=True):
        row[: len(values)] = values
    return tokens, np.array(lengths, dtype=np.int64)


def _place(group: Group, generations: list[Generation]) -> None:
    """Note where the state of each now lies."""
    first = 0
    for generation in generations:
        generation.group = group
        generation.first = first
        generation.parents = None
        first += len(generation.pieces)


def _group_of(generations: list[Generation]) -> Group:
    """The batch of these texts' states: as it is, if it is of just them, else gathered."""
    groups = [it.group for it in generations]
    serials = [it.serial for it in generations]
    whole = groups[0]
    assert whole is not None
    is_one = all(group is whole for group in groups)
    if is_one and whole.serials == serials and not whole.has_moved:
        return whole
    parts: list[tuple[States, NDArray[np.int64]]] = []
    start = 0
    for stop in range(1, len(groups) + 1):
        if stop < len(groups) and groups[stop] is groups[start]:
            continue
        group = groups[start]
        assert group is not None, "what runs has begun"
        parts.append((group.states, np.concatenate([it.rows() for it in generations[start:stop]])))
        start = stop
    group = Group(gather(parts), serials)
    _place(group, generations)
    return group
