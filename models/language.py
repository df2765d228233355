"""Recurrent language models: what follows, at every step, from all that came before.

    e(t) = E[c(t)];    h(t), state(t) = recurrent(e(t), state(t-1));    logits(t) = W h(t) + b

logits(t) are those of c(t+1). The state is all that a text of any length needs to go on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.recurrent import Cell, Recurrent
from models.sequence import Prediction, State


class RecurrentLanguageModel(nn.Module):
    """An embedding, a recurrent stack and a layer of logits.

    Args:
        num_tokens: Of the vocabulary.
        cell: Of the stack.
        embedding_size: Values of a token's embedding.
        hidden_size: Values of each layer's hidden state.
        num_layers: Of the stack.
        dropout: Probability, around the stack and between its layers.
    """

    def __init__(
        self,
        num_tokens: int,
        cell: Cell,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.encoder = Recurrent(cell, embedding_size, hidden_size, num_layers, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, num_tokens)

    def initial_state(self, batch_size: int) -> State:
        """Zeros of every state tensor, (batch, layers, hidden)."""
        weight = self.output.weight
        return {
            name: torch.zeros(batch_size, *shape, dtype=weight.dtype, device=weight.device)
            for name, shape in (self.encoder.state_shapes() or {}).items()
        }

    def forward(self, inputs: Tensor, lengths: Tensor, state: State | None = None) -> Prediction:
        """Logits (batch, time, tokens) of what follows each step; rubbish past each length.

        Args:
            inputs: int64 (batch, time), tokens.
            lengths: int64 (batch,), 1 to time.
            state: As an earlier call returned it; that of a text that begins if None.
        """
        encoded, state = self._encode(inputs, lengths, state)
        return Prediction(self.output(self.dropout(encoded[0])), state, None)

    def next(self, inputs: Tensor, lengths: Tensor, state: State | None = None) -> Prediction:
        """Logits (batch, tokens) of what follows each row's last step; else as `forward`."""
        encoded, state = self._encode(inputs, lengths, state)
        return Prediction(self.output(encoded[1]), state, None)

    def _encode(
        self, inputs: Tensor, lengths: Tensor, state: State | None
    ) -> tuple[tuple[Tensor, Tensor], State]:
        """Outputs (batch, time, hidden) and (batch, hidden) of each row's last step; the state."""
        if state is None:
            state = self.initial_state(inputs.shape[0])
        encoding = self.encoder(self.dropout(self.embedding(inputs)), lengths, state)
        return (encoding.outputs, encoding.last), encoding.state
