"""A decoder: every run takes one turn of each of its texts, which join and leave at any run.

Who takes a turn is chosen in `native/schedule/turns.hpp`. The texts' state stays in the arrays that
the last run gave, and is fed from there as long as the same texts run together; it is gathered anew
only where one joins, ends, or a beam goes on from other rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from service import native
from service.decoding.prompt import Generated, Prompt
from service.decoding.sampling import Samplers, choose
from service.errors import InferenceError, InvalidSequenceError, ServiceError
from service.graphs.decoders.decoder import Decoder
from service.graphs.decoders.states import States
from service.graphs.model import Arrays
from service.graphs.runs import check_not_ended
from service.schedulers.bounds import Bounds
from service.schedulers.decoding.cost import calibrate_decoder
from service.schedulers.decoding.generation import (
    BeamGeneration,
    Generation,
    Group,
    SamplingGeneration,
    begin,
)
from service.schedulers.decoding.groups import alike, group_of, padded, place
from service.schedulers.decoding.job import DecodingJob, Turn
from service.schedulers.decoding.news import News, Token
from service.schedulers.job import Job
from service.schedulers.scheduler import Outputs, Scheduler
from service.telemetry.parts.model import ModelMetrics

log = structlog.get_logger(__name__)

Made = TypeVar("Made")

PROMPT_CHUNK = 64
"""Tokens of a prompt fed at a time: those that wait for the next turn wait so long."""


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
        self._news = News()

    def make_job(
        self,
        asked: Sequence[Prompt],
        on_done: Callable[[Job], None],
        priority: int,
        timeout_s: float,
    ) -> Job:
        """A job of these prompts.

        Raises:
            InvalidSequenceError: One is too long, or has tokens that there are none of.
        """
        for index, prompt in enumerate(asked):
            self._check(prompt, index)
        if any(prompt.stream is not None for prompt in asked):
            on_done = self._news.before(on_done)
        if self.metrics.inputs is not None:
            read = (it.tokens if it.source is None else it.source for it in asked)
            self.metrics.inputs.note_lengths(map(len, read))
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
            message = f"text {index} has {given} tokens and may have {made} more, not 2 to {most}"
            raise InvalidSequenceError(message, "max_tokens")
        _check_tokens(prompt.tokens, spec.vocabulary, f"text {index}")
        if (prompt.source is None) != (spec.memory is None):
            raise InvalidSequenceError("a source goes with an encoder", "inputs")
        if spec.memory and prompt.source is not None:
            size, longest = len(prompt.source), spec.memory.max_length
            if not 1 <= size <= longest:
                message = f"source {index} has {size} tokens, 1 to {longest} are possible"
                raise InvalidSequenceError(message, "inputs")
            _check_tokens(prompt.source, spec.source_vocabulary, f"source {index}")

    def compute(self, run: native.Run, workspace: native.Workspace) -> Outputs:
        """Take one turn of each text of a run."""
        turns = [
            Turn(row, job, job.generations[index])
            for row, (job, index) in enumerate(run.places)
            if isinstance(job, DecodingJob)  # one whose caller left may be no more than its place
        ]
        new = [it for it in turns if it.generation.group is None]
        if new:
            self._begin(run, new)
            turns = [it for it in turns if it.generation.failure is None]
        num_tokens = 0
        for together in alike(turns):
            for part, group, outputs in self._apart(run, together, self._run):
                num_tokens += self._step(run, part, group, outputs)
        self._tokens.generated.inc(num_tokens)
        self._news.post()
        return [], []

    def _apart(
        self, run: native.Run, turns: list[Turn], make: Callable[[list[Turn]], Made]
    ) -> list[Made]:
        """Make something of texts together; if that fails, of each alone, and end those it fails
        for then too.
        """
        try:
            return [make(turns)]
        except Exception as error:  # noqa: BLE001 - of any kind: its neighbours go on
            check_not_ended()
            run.is_usual = False
            if len(turns) == 1:
                self._fail(turns[0], error)
                self._finish(run, turns[0])
                return []
        return [made for turn in turns for made in self._apart(run, [turn], make)]

    def _begin(self, run: native.Run, new: list[Turn]) -> None:
        """Give texts their first state; with an encoder, read their sources."""
        if not self.decoder.spec.memory:
            texts = [it.generation for it in new]
            states = States.begin(self.decoder.spec, len(new), {})
            place(Group(states, [it.serial for it in texts]), texts)
            return
        by_size: dict[int, list[Turn]] = {}
        for it in new:
            assert it.generation.prompt.source is not None
            by_size.setdefault(len(it.generation.prompt.source).bit_length(), []).append(it)
        for together in by_size.values():
            self._apart(run, together, self._encode)

    def _encode(self, turns: list[Turn]) -> None:
        texts = [it.generation for it in turns]
        sources = [it.prompt.source.tolist() for it in texts if it.prompt.source is not None]
        tokens, lengths = padded(sources)
        encoded = self.decoder.encode(tokens, lengths)
        states = States.begin(self.decoder.spec, len(texts), encoded, lengths)
        place(Group(states, [it.serial for it in texts]), texts)

    def _run(self, turns: list[Turn]) -> tuple[list[Turn], Group, Arrays]:
        """Run texts that feed about as much; where their state now lies, and what came out."""
        texts = [it.generation for it in turns]
        group = group_of(texts)
        tokens, lengths = padded([piece for it in texts for piece in it.pieces])
        outputs = self.decoder.run(tokens, lengths, group.states.feed())
        group.states = group.states.after(outputs, lengths)
        return turns, group, outputs

    def _step(self, run: native.Run, turns: list[Turn], group: Group, outputs: Arrays) -> int:
        """Have texts that ran together go on by what came out; how many tokens that gave."""
        spec = self.decoder.spec
        logits = outputs[spec.logits]
        if self._forbidden:
            logits[:, self._forbidden] = -np.inf
        attention = outputs[spec.attention] if spec.attention else None
        drawing: list[tuple[Turn, SamplingGeneration]] = []
        searching: list[tuple[Turn, BeamGeneration]] = []
        for it in turns:
            generation = it.generation
            if generation.is_reading:
                generation.read_on()
            elif isinstance(generation, SamplingGeneration):
                drawing.append((it, generation))
            elif isinstance(generation, BeamGeneration):
                searching.append((it, generation))
        if drawing:
            self._draw(run, drawing, group, logits, attention)
        if searching:
            self._search(run, searching, logits, attention)
        return len(drawing) + len(searching)

    def _search(
        self,
        run: native.Run,
        searching: list[tuple[Turn, BeamGeneration]],
        logits: NDArray[np.float32],
        attention: NDArray[np.float32] | None,
    ) -> None:
        """Have beams take a step."""
        self._note_times(searching)
        for turn, generation in searching:
            rows = slice(generation.first, generation.first + len(generation.pieces))
            seen = None if attention is None else attention[rows, : generation.source_length]
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
        drawing: list[tuple[Turn, SamplingGeneration]],
        group: Group,
        logits: NDArray[np.float32],
        attention: NDArray[np.float32] | None,
    ) -> None:
        """Have texts take their next token."""
        if len(drawing) < len(logits):
            rows = [it.first for _, it in drawing]
            logits = logits[rows]
            attention = None if attention is None else attention[rows]
        samplers = group.samplers
        if samplers is None:
            samplers = Samplers([it.strategy for _, it in drawing])
            group.samplers = samplers if len(drawing) == len(group.serials) else None
        uniforms = [drawing[row][1].next_uniform() for row in samplers.drawn.tolist()]
        chosen = choose(logits, samplers, uniforms)
        self._note_times(drawing)
        tokens, logprobs = chosen.tokens.tolist(), chosen.logprobs.tolist()
        end = self.decoder.spec.end
        for row, ((turn, generation), token, logprob) in enumerate(
            zip(drawing, tokens, logprobs, strict=True)
        ):
            seen = None if attention is None else attention[row, : generation.source_length]
            stream = None if generation.is_forced else generation.prompt.stream
            try:
                goes_on = generation.accept(chosen, row, token, logprob, seen)
            except Exception as error:  # noqa: BLE001 - of any kind: its neighbours go on
                self._fail(turn, error)
                goes_on = False
            if stream is not None and token != end and generation.failure is None:
                self._news.note(Token(turn.job, stream, token, logprob))
            if not goes_on:
                self._finish(run, turn)

    def _note_times(self, turns: Sequence[tuple[Turn, Generation]]) -> None:
        """Count how long each of these waited for a token."""
        now_s = time.perf_counter()
        for turn, generation in turns:
            if generation.last_s is None:
                self._tokens.first_s.observe(now_s - turn.job.submitted_s)
            else:
                self._tokens.interval_s.observe(now_s - generation.last_s)
            generation.last_s = now_s

    def _fail(self, turn: Turn, error: Exception) -> None:
        log.error("a text failed", model=self.name, version=self.version, exc_info=error)
        turn.generation.failure = error

    def _finish(self, run: native.Run, turn: Turn) -> None:
        """End a text, whose state nobody needs any more."""
        run.finish(turn.row)
        turn.generation.group = None

    def num_rows(self, job: native.Job) -> int:
        """Its texts."""
        return job.num_sequences

    def results(self, job: native.Job) -> list[list[Generated]]:
        """Of each prompt what was made, best first: one text, or the best of a beam.

        Raises:
            InferenceError: One failed.
            ServiceError: It could not be run.
        """
        assert isinstance(job, DecodingJob)
        for generation in job.generations:
            if isinstance(generation.failure, ServiceError):
                raise generation.failure
            if generation.failure is not None:
                raise InferenceError(f"{self.name} failed on this text") from generation.failure
        return [generation.results() for generation in job.generations]


def _check_tokens(tokens: NDArray[np.int64], vocabulary: int, which: str) -> None:
    """Refuse a token that would fail the run of others too."""
    if tokens.min() < 0 or tokens.max() >= vocabulary:
        raise InvalidSequenceError(
            f"{which} has a token that is not 0 to {vocabulary - 1}", "inputs"
        )
