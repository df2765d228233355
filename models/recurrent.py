"""The recurrent encoders: Elman RNN, LSTM, GRU; any number of layers, one direction or both.

Elman RNN (Elman, Cognitive Science 14, 1990), f = tanh or relu:

    h(t) = f(W_xh x(t) + W_hh h(t-1) + b_h)

LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000), * elementwise:

    i(t) = sigmoid(W_xi x(t) + W_hi h(t-1) + b_i)      input gate
    f(t) = sigmoid(W_xf x(t) + W_hf h(t-1) + b_f)      forget gate
    g(t) =    tanh(W_xg x(t) + W_hg h(t-1) + b_g)      candidate
    o(t) = sigmoid(W_xo x(t) + W_ho h(t-1) + b_o)      output gate
    c(t) = f(t) * c(t-1) + i(t) * g(t)                 cell
    h(t) = o(t) * tanh(c(t))

GRU (Cho et al. 2014, with the reset gate after the matrix product):

    r(t) = sigmoid(W_xr x(t) + W_hr h(t-1) + b_r)      reset gate
    z(t) = sigmoid(W_xz x(t) + W_hz h(t-1) + b_z)      update gate
    n(t) = tanh(W_xn x(t) + b_xn + r(t) * (W_hn h(t-1) + b_hn))
    h(t) = (1 - z(t)) * n(t) + z(t) * h(t-1)

A bidirectional layer (Schuster & Paliwal 1997) runs a second cell from each sequence's own end to
its beginning and joins both outputs; its state exists only for whole sequences.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.sequence import Encoding, State

RELU_SCALE = 0.5
"""Of a relu's state, that is left after a step, before it has learnt anything."""

Cell = Literal["rnn_tanh", "rnn_relu", "lstm", "gru"]
Initial = Tensor | tuple[Tensor, Tensor] | None
"""What torch's layers begin from, (layers, batch, hidden); None for zeros."""


def make_layer(cell: Cell, input_size: int, hidden_size: int, bidirectional: bool) -> nn.RNNBase:
    """One layer of torch's own fused kernels, with the initialisation usual for its cell.

    A relu's state has no bound, so a layer begins by keeping it as it is (Le, Jaitly and Hinton,
    arXiv:1504.00941), but for a share that fades.
    """
    layer: nn.RNNBase
    if cell == "lstm":
        layer = nn.LSTM(input_size, hidden_size, batch_first=True, bidirectional=bidirectional)
    elif cell == "gru":
        layer = nn.GRU(input_size, hidden_size, batch_first=True, bidirectional=bidirectional)
    else:
        layer = nn.RNN(
            input_size,
            hidden_size,
            batch_first=True,
            bidirectional=bidirectional,
            nonlinearity="relu" if cell == "rnn_relu" else "tanh",
        )
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_hh") and cell == "rnn_relu":
            nn.init.eye_(parameter.data).mul_(RELU_SCALE)
        elif name.startswith("weight_hh"):
            for gate in parameter.data.chunk(parameter.shape[0] // hidden_size):
                nn.init.orthogonal_(gate)
        elif name.startswith("weight_ih"):
            for gate in parameter.data.chunk(parameter.shape[0] // hidden_size):
                nn.init.xavier_uniform_(gate)
        else:
            nn.init.zeros_(parameter)
            if cell == "lstm" and name.startswith("bias_ih"):
                parameter.data[hidden_size : 2 * hidden_size] = 1.0  # remember at first
    return layer


class Recurrent(nn.Module):
    """A stack of recurrent layers, dropout between them.

    Args:
        cell: Which equations.
        input_size: Values a step.
        hidden_size: Values of one direction's hidden state.
        num_layers: One or more.
        bidirectional: Read each layer's input both ways.
        dropout: Probability, between layers.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.hidden_size = hidden_size
        self.bidirectional = bidirectional
        self.width = hidden_size * (2 if bidirectional else 1)
        self.layers = nn.ModuleList(
            make_layer(cell, input_size if depth == 0 else self.width, hidden_size, bidirectional)
            for depth in range(num_layers)
        )
        self.dropout = nn.Dropout(dropout)

    def state_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """`hidden`, and for an LSTM `cell`, each (layers, hidden); None if bidirectional."""
        if self.bidirectional:
            return None
        shape = (len(self.layers), self.hidden_size)
        return {"hidden": shape, "cell": shape} if self.cell == "lstm" else {"hidden": shape}

    def forward(self, inputs: Tensor, lengths: Tensor, state: State) -> Encoding:
        """Encode a ragged batch.

        Args:
            inputs: (batch, time, features).
            lengths: int64 (batch,).
            state: `hidden` (and `cell`), (batch, layers, hidden); zeros where the dict is empty,
                as it is for models that read whole sequences.
        """
        outputs = inputs
        # where nothing is padding, nothing needs packing: torch is several times faster without
        is_full = bool((lengths == inputs.shape[1]).all())
        finals: list[tuple[Tensor, ...]] = []
        for depth, layer in enumerate(self.layers):
            if depth:
                outputs = self.dropout(outputs)
            initial = self._initial(state, depth)
            if is_full:
                outputs, final = layer(outputs, initial)  # (batch, time, width)
            else:
                outputs, final = _run_packed(layer, outputs, lengths, initial)
            finals.append(final if isinstance(final, tuple) else (final,))
        top = finals[-1][0]  # (directions, batch, hidden)
        return Encoding(
            outputs=outputs,
            last=top.transpose(0, 1).reshape(inputs.shape[0], self.width),
            state=self._final_state(finals),
            weights=None,
        )

    def _initial(self, state: State, depth: int) -> Initial:
        if "hidden" not in state:  # torch starts from zeros
            return None
        hidden = state["hidden"][:, depth].unsqueeze(0).contiguous()  # (1, batch, hidden)
        if self.cell != "lstm":
            return hidden
        return hidden, state["cell"][:, depth].unsqueeze(0).contiguous()

    def _final_state(self, finals: list[tuple[Tensor, ...]]) -> State:
        names = self.state_shapes() or {}
        return {
            name: torch.cat([final[index] for final in finals]).transpose(0, 1)
            for index, name in enumerate(names)
        }


def _run_packed(
    layer: nn.Module, inputs: Tensor, lengths: Tensor, initial: Initial
) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
    """A layer over the real steps: outputs (batch, time, width), zero past lengths; final state."""
    packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
    outputs, final = layer(packed, initial)
    padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])
    return padded, final
