"""Backpropagation through time: over whole sequences, or truncated to windows.

Truncated (Williams & Peng, Neural Computation 2, 1990): the sequences are read in windows of
`window` steps; the state that leaves one window enters the next as a constant, so that a loss
sends gradients back through its own window only, and memory holds one window's activations:

    state(k), logits(k) = model(window k, detach(state(k-1)))
    gradient = sum over windows k of d(loss(k)) / d(weights)

With a window as long as the longest sequence this is full backpropagation through time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from models.sequence import Prediction, SequenceModel, State, step_mask


def accumulate_gradients(
    model: SequenceModel,
    inputs: Tensor,
    lengths: Tensor,
    targets: Tensor,
    window: int | None,
    loss: Callable[[Tensor, Tensor], Tensor],
    backward: Callable[[Tensor], None],
) -> float:
    """Add the gradients of a batch's mean loss to the model's parameters.

    The mean is over the rows, or from a per-step head over all real steps of the batch. A row's
    answer counts in the window where the row ends; rows that have ended leave the batch. Nothing
    is asked of the model but its answers, so it may be wrapped, as accelerate and DDP do; the
    processes of a DDP model exchange gradients once a call, in the last window, because their
    batches may be of different lengths.

    Args:
        model: Any family. With a window it must carry state: no bidirectional layer, no attention.
        inputs: (batch, time, features).
        lengths: int64 (batch,), 1 to time.
        targets: (batch, ...); from a per-step head (batch, time, ...).
        window: Steps to send gradients back through; None for the whole sequences at once.
        loss: One value an answer: logits (n, classes) and targets (n, ...) to (n,), such as
            `cross_entropy` with `reduction="none"`. An answer is a row, or a real step of a
            per-step head; padding is cut off before.
        backward: Given the loss of each window in which there is an answer; usually
            `Tensor.backward` or `accelerator.backward`.
    Returns:
        The mean loss.
    Raises:
        ValueError: A window under 1, or for a model that reads whole sequences.
    """
    size = inputs.shape[1] if window is None else window
    if size < 1:
        raise ValueError(f"window is {size}; it must be at least 1 step")
    num_rows, num_steps = len(lengths), int(lengths.sum())
    state: State | None = None
    total = torch.zeros((), dtype=torch.float64)
    while len(lengths):
        with _gradient_exchange(model, is_last=int(lengths.max()) <= size):
            prediction: Prediction = model(inputs[:, :size], lengths.clamp(max=size), state)
            if window is not None and not prediction.state:
                raise ValueError(
                    "truncated backpropagation needs a model that carries state; this one reads "
                    "whole sequences (bidirectional, or attention over every step): window=None"
                )
            per_step = prediction.logits.dim() == 3
            losses = _losses(prediction.logits, lengths, targets, size, loss)
            if len(losses):  # a window in which no row ends has nothing to learn from
                mean = losses.sum() / (num_steps if per_step else num_rows)
                backward(mean)
                total += mean.detach().cpu()
        going_on = lengths > size
        inputs, lengths = inputs[going_on, size:], lengths[going_on] - size
        targets = targets[going_on, size:] if per_step else targets[going_on]
        state = {name: value.detach()[going_on] for name, value in prediction.state.items()}
    return float(total)


def _losses(
    logits: Tensor,
    lengths: Tensor,
    targets: Tensor,
    size: int,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """A loss for each answer that this window gives: (n,)."""
    if logits.dim() == 3:  # (batch, time, classes): every real step is an answer
        num_steps = logits.shape[1]
        real = step_mask(lengths, num_steps)
        return loss(logits[real], targets[:, :num_steps][real])
    ended = lengths <= size
    return loss(logits[ended], targets[ended])


def _gradient_exchange(model: SequenceModel, *, is_last: bool) -> AbstractContextManager[None]:
    """DDP averages gradients over processes in every backward pass; hold it back until the last."""
    no_sync: Callable[[], AbstractContextManager[None]] = getattr(model, "no_sync", nullcontext)
    return nullcontext() if is_last else no_sync()
