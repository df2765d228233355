"""How language models learn: windows of one long text, and its nats a character.

A recurrent model reads on: each row of a batch goes on where it stopped in the last one, with the
state it had there as a constant (truncated backpropagation, see `bptt.py`), for a stretch of
windows; then it begins again without a past, somewhere else. Rows that never begin again learn to
rely on what only a very old state holds: an LSTM of 384 units then says 2.5 nats a character of a
text that begins, where it says 1.6 this way.
The Transformer, which has no state but its window, reads windows from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sequence import Prediction, State
from training.data.batches import Row
from training.data.texts.characters import Tokens
from training.fit.objective import Objective, Validation

VALIDATION_STREAMS = 32
"""Parts that a validation text is read in side by side; each begins without a past."""
CHUNK_STEPS = 128
"""Read at a time when a text is scored; no score depends on it."""
STRETCHES = (4, 16, 64, 256)
"""Windows that a row reads on for; the rows of a batch take turns."""

Example = tuple[Tokens, bool]
"""A window with the step after it, and whether it goes on from the row's last one."""


class TextObjective(Objective):
    """Learn to say what comes next in a text.

    Args:
        text: int64 (characters,), learnt from.
        validation: The same of what decides which weights are the best.
        window: Steps to send gradients back through.
        batch_size: Rows of a batch, over all processes.
        reads_on: Whether the rows go on where they stopped, or begin anywhere.
    """

    def __init__(
        self, text: Tokens, validation: Tokens, window: int, batch_size: int, *, reads_on: bool
    ) -> None:
        self.text = text
        self.validation = validation
        self.window = window
        self.batch_size = batch_size
        self.reads_on = reads_on
        self._state: State | None = None

    @property
    def lengths(self) -> list[int]:
        """Of as many windows as the text has."""
        return [self.window] * max(1, len(self.text) // self.window)

    def example(self, row: Row) -> Example:
        """A row's next window and the step after it, int64 (window + 1,)."""
        seed, step, place = row.seed
        stretch = STRETCHES[place % len(STRETCHES)] if self.reads_on else 1
        number, windows = divmod(step + place, stretch)
        drawn = np.random.default_rng((seed, number, place))
        start = int(drawn.integers(len(self.text))) + windows * self.window
        text = self.text.take(start + np.arange(self.window + 1), mode="wrap")
        return text, windows > 0

    def collate(self, examples: list[Example]) -> tuple[Tensor, ...]:
        """Inputs and targets, int64 (batch, window), and which rows go on, bool (batch,)."""
        windows = torch.from_numpy(np.stack([text for text, _ in examples]))
        going_on = torch.tensor([goes_on for _, goes_on in examples])
        return windows[:, :-1].contiguous(), windows[:, 1:].contiguous(), going_on

    def learn(
        self, model: nn.Module, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """Add the gradients of a batch's mean loss; gives it, nats a character."""
        inputs, targets, going_on = batch
        lengths = torch.full((len(inputs),), inputs.shape[1], device=inputs.device)
        prediction: Prediction = model(inputs, lengths, self._going_on(going_on))
        if self.reads_on:
            self._state = {name: value.detach() for name, value in prediction.state.items()}
        loss = functional.cross_entropy(prediction.logits.flatten(0, 1), targets.flatten())
        backward(loss)
        return float(loss.detach())

    def _going_on(self, rows: Tensor) -> State | None:
        """The state that the last batch left, of these rows; zeros of the others."""
        if self._state is None:
            return None
        return {
            name: value * rows.reshape(-1, *[1] * (value.dim() - 1))
            for name, value in self._state.items()
        }

    def validate(self, model: nn.Module) -> Validation:
        """Minus the nats a character."""
        nats = nats_per_character(model, self.validation, VALIDATION_STREAMS)
        return Validation(score=-nats, loss=nats)


def nats_per_character(
    model: nn.Module, text: Tokens, num_streams: int = 1, begin: int | None = None
) -> float:
    """The mean negative log-likelihood of a text, each character given all before it.

    Args:
        model: A language model.
        text: int64 (characters,), 2 at least; what does not divide into the streams is left out.
        num_streams: Parts to read side by side.
        begin: The token before the text; None: its first character is only given, not scored.
    """
    if begin is not None:
        text = np.concatenate([[begin], text])
    num_streams = min(num_streams, len(text) - 1)
    num_steps = (len(text) - 1) // num_streams
    starts = np.arange(num_streams)[:, None] * num_steps
    windows = torch.from_numpy(text[starts + np.arange(num_steps + 1)])
    was_training, total = model.training, 0.0
    model.eval()
    device = next(model.parameters()).device
    state: State | None = None
    with torch.inference_mode():
        for start in range(0, num_steps, CHUNK_STEPS):
            part = windows[:, start : start + CHUNK_STEPS + 1].to(device)
            inputs, targets = part[:, :-1], part[:, 1:]
            lengths = torch.full((num_streams,), inputs.shape[1], device=device)
            prediction: Prediction = model(inputs, lengths, state)
            state = prediction.state
            losses = functional.cross_entropy(
                prediction.logits.flatten(0, 1), targets.flatten(), reduction="none"
            )
            total += float(losses.double().sum())
    model.train(was_training)
    return total / (num_streams * num_steps)
