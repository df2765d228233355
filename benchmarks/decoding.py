"""Tokens a second of a decoder by continuous batching, against static batches and one at a time.

A made LSTM language model (hidden 256, 65 tokens; random weights, for the arithmetic of a network
does not depend on what it learned), one thread, texts of log-normally many tokens, 64 callers.
Static: a batch runs until its longest text is done. The same graph, sampling and texts each way, in
interleaved rounds, by CPU time; and what is left of a turn when the graph takes no time.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

from service import native
from service.app import bounds_of
from service.decoding.prompt import Prompt, Sampling
from service.decoding.sampling import Samplers, Uniforms, choose
from service.graphs.decoders.decoder import Decoder, DecoderSpec
from service.graphs.decoders.states import States
from service.graphs.model import Arrays
from service.graphs.session import open_session
from service.graphs.spec import StateSpec
from service.schedulers.decoding import DecodingScheduler
from service.settings import Settings
from service.telemetry.metrics import Metrics

VOCABULARY, HIDDEN = 65, 256
BATCH = 32
CALLERS = 64  # that wait for a text at a time, each with one
TIMEOUT_S = 3_600.0


def made_graph() -> bytes:
    """An LSTM language model."""
    random = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> TensorProto:
        values = 0.1 * random.standard_normal(shape)
        return numpy_helper.from_array(values.astype(np.float32), name)

    def tensor(name: str, kind: int, *shape: str | int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    ids, real = TensorProto.INT64, TensorProto.FLOAT
    node = helper.make_node
    nodes = [
        node("Gather", ["embedding", "inputs"], ["steps"]),
        node("Transpose", ["steps"], ["by_time"], perm=[1, 0, 2]),
        node("Cast", ["lengths"], ["counts"], to=TensorProto.INT32),
        node("Unsqueeze", ["hidden", "zero"], ["h"]),
        node("Unsqueeze", ["cell", "zero"], ["c"]),
        node(
            "LSTM", ["by_time", "w", "r", "b", "counts", "h", "c"], ["", "h_out", "c_out"],
            hidden_size=HIDDEN,
        ),
        node("Squeeze", ["h_out", "zero"], ["hidden_out"]),
        node("Squeeze", ["c_out", "zero"], ["cell_out"]),
        node("MatMul", ["hidden_out", "head"], ["logits"]),
    ]  # fmt: skip
    state = [tensor(name, real, "batch", HIDDEN) for name in ("hidden", "cell")]
    state_out = [tensor(name, real, "batch", HIDDEN) for name in ("hidden_out", "cell_out")]
    graph = helper.make_graph(
        nodes, "lstm",
        [tensor("inputs", ids, "batch", "time"), tensor("lengths", ids, "batch"), *state],
        [tensor("logits", real, "batch", VOCABULARY), *state_out],
        [
            weights("embedding", VOCABULARY, HIDDEN), weights("w", 1, 4 * HIDDEN, HIDDEN),
            weights("r", 1, 4 * HIDDEN, HIDDEN), weights("b", 1, 8 * HIDDEN),
            weights("head", HIDDEN, VOCABULARY), numpy_helper.from_array(np.array([0]), "zero"),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


SPEC = DecoderSpec(
    VOCABULARY,
    10_000,
    state=tuple(StateSpec(name, f"{name}_out", (HIDDEN,)) for name in ("hidden", "cell")),
)


class Instant(Decoder):
    """Answers what the graph once did, whatever it is asked: what is left is not the graph's."""

    def __init__(self, decoder: Decoder) -> None:
        self.spec = decoder.spec
        self._decoder = decoder
        self._answers: dict[tuple[int, ...], Arrays] = {}

    def run(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], held: Arrays) -> Arrays:
        """Some steps of a batch."""
        if tokens.shape not in self._answers:
            self._answers[tokens.shape] = self._decoder.run(tokens, lengths, held)
        return self._answers[tokens.shape]


def prompts(num_texts: int, seed: int) -> list[Prompt]:
    """Texts of log-normally many tokens, 64 in the median."""
    random = np.random.default_rng(seed)
    sizes = np.clip(np.exp(random.normal(np.log(64), 0.8, num_texts)), 1, 600).astype(int)
    return [
        Prompt(random.integers(0, VOCABULARY, 8), Sampling(int(size), 0.8, 40, seed=index))
        for index, size in enumerate(sizes)
    ]


def scheduler_of(decoder: Decoder, batch_size: int) -> DecodingScheduler:
    """A scheduler of one thread."""
    bounds = dataclasses.replace(
        bounds_of(Settings()), engine_threads=1, max_batch_size=batch_size, calibration_ms=50
    )
    return DecodingScheduler(decoder, bounds, Metrics().of_model("made", "1"))


def continuous(scheduler: DecodingScheduler, asked: list[Prompt]) -> int:
    """All texts by the scheduler; how many runs it made."""
    workspace = native.Workspace()
    core = scheduler.core
    jobs = [scheduler.make_job([it], lambda job: None, 2, TIMEOUT_S) for it in asked]
    waiting = iter(jobs)
    for job in itertools.islice(waiting, CALLERS):
        core.enqueue(job)
    count = 0
    while (run := core.take()) is not None:
        answered = core.complete(run, *scheduler.compute(run, workspace))
        for job in itertools.islice(waiting, len(answered)):
            core.enqueue(job)
        count += 1
    return count


def static(decoder: Decoder, asked: list[Prompt]) -> None:
    """All texts in batches, each as long as its longest text."""
    for start in range(0, len(asked), BATCH):
        together = asked[start : start + BATCH]
        strategies = [it.strategy for it in together if isinstance(it.strategy, Sampling)]
        samplers = Samplers(strategies)
        uniforms = [Uniforms(it.seed) for it in strategies]
        states = States.begin(SPEC, len(together), {})
        tokens = np.stack([it.tokens for it in together])
        for _ in range(max(it.max_tokens for it in strategies)):
            lengths = np.full(len(together), tokens.shape[1], dtype=np.int64)
            outputs = decoder.run(tokens, lengths, states.feed())
            states = states.after(outputs, lengths)
            chosen = choose(outputs["logits"], samplers, [it.next() for it in uniforms])
            tokens = chosen.tokens[:, None]


def seconds(work: Callable[[], object]) -> float:
    """CPU time that it takes: what else the machine does is no part of it."""
    started_s = time.thread_time()
    work()
    return time.thread_time() - started_s


def overhead_us(decoder: Decoder, num_turns: int = 2_000) -> dict[str, float]:
    """Microseconds of a turn of 32 rows without the graph, and of the graph alone."""
    scheduler = scheduler_of(Instant(decoder), BATCH)
    asked = [Prompt(np.zeros(1, np.int64), Sampling(num_turns, 0.8, 40, seed=i)) for i in range(32)]
    greedy = [it._replace(strategy=Sampling(num_turns, 0.0)) for it in asked]
    states = States.begin(SPEC, BATCH, {})
    tokens, lengths = np.zeros((BATCH, 1), np.int64), np.ones(BATCH, np.int64)
    graph_s = [
        seconds(lambda: decoder.run(tokens, lengths, states.feed())) for _ in range(num_turns)
    ]
    return {
        "sampling": 1e6 * seconds(lambda: continuous(scheduler, asked)) / num_turns,
        "greedy": 1e6 * seconds(lambda: continuous(scheduler, greedy)) / num_turns,
        "graph": 1e6 * float(np.median(graph_s)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    decoder = Decoder(SPEC, open_session(made_graph()))
    together, alone = scheduler_of(decoder, BATCH), scheduler_of(decoder, 1)
    rates: dict[str, list[float]] = {"continuous": [], "static": [], "one at a time": []}
    for turn in range(arguments.rounds):
        asked = prompts(arguments.texts, turn)
        few = asked[: len(asked) // 4]
        ways: dict[str, tuple[Callable[[], object], list[Prompt]]] = {
            "continuous": (lambda asked=asked: continuous(together, asked), asked),  # type: ignore[misc]
            "static": (lambda asked=asked: static(decoder, asked), asked),  # type: ignore[misc]
            "one at a time": (lambda few=few: continuous(alone, few), few),  # type: ignore[misc]
        }
        for name, (work, texts) in ways.items():
            num_tokens = sum(it.strategy.max_tokens for it in texts)
            rates[name].append(num_tokens / seconds(work))
    medians = {name: float(np.median(found)) for name, found in rates.items()}
    ratios = {
        f"continuous / {name}": float(
            np.median(np.array(rates["continuous"]) / np.array(rates[name]))
        )
        for name in ("static", "one at a time")
    }
    result = {
        "tokens_per_s": {name: round(rate) for name, rate in medians.items()},
        "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "us_per_turn_of_32": {name: round(us) for name, us in overhead_us(decoder).items()},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
