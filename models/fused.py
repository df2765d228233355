"""The form of a model that exports to one fused ONNX operator a recurrent layer.

`pack_padded_sequence` does not export and `nn.RNN` is unrolled to the sample's length; the ONNX
operators RNN, LSTM and GRU take lengths and state themselves. `fuse` swaps every `Recurrent` for a
module that names those operators directly, its weights already in ONNX's order, so that the graph
holds neither Split nor Concat of weights. Such a module can be exported but not run by torch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.recurrent import Cell, Recurrent
from models.sequence import Encoding, State

# what torch.onnx.ops takes as an attribute; a dict of fewer types is not one of it to a checker
Attribute = (
    int | float | str | bool | Sequence[int] | Sequence[float] | Sequence[str] | Sequence[bool]
)

OPERATORS: dict[Cell, str] = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU"}

# where each gate of ONNX's order stands in torch's: LSTM i,o,f,c of i,f,g,o; GRU z,r,h of r,z,n
GATE_ORDER: dict[Cell, list[int]] = {
    "rnn_tanh": [0],
    "rnn_relu": [0],
    "lstm": [0, 3, 1, 2],
    "gru": [1, 0, 2],
}


M = TypeVar("M", bound=nn.Module)


def fuse(model: M) -> M:
    """A copy of the model in its export form; torch can trace it, not run it."""
    fused = copy.deepcopy(model).eval()
    for name, module in list(fused.named_modules()):
        if isinstance(module, Recurrent):
            parent = fused.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], FusedRecurrent(module))
    return fused


def onnx_gates(parameter: Tensor, cell: Cell) -> Tensor:
    """Reorder the gates along the first axis, (gates * hidden, ...), to ONNX's order."""
    gates = parameter.detach().chunk(len(GATE_ORDER[cell]))
    return torch.cat([gates[place] for place in GATE_ORDER[cell]])


class FusedRecurrent(nn.Module):
    """`Recurrent` as ONNX operators; same signature, same answers."""

    def __init__(self, source: Recurrent) -> None:
        super().__init__()
        self.cell = source.cell
        self.hidden_size = source.hidden_size
        self.bidirectional = source.bidirectional
        self.width = source.width
        self.num_layers = len(source.layers)
        self.state_shapes = source.state_shapes
        suffixes = ("_l0", "_l0_reverse") if source.bidirectional else ("_l0",)
        for depth, layer in enumerate(source.layers):

            def stack(kind: str, layer: nn.Module = layer) -> Tensor:
                return torch.stack(
                    [onnx_gates(getattr(layer, kind + suffix), self.cell) for suffix in suffixes]
                )

            self.register_buffer(f"input_weight_{depth}", stack("weight_ih"))
            self.register_buffer(f"hidden_weight_{depth}", stack("weight_hh"))
            biases = torch.cat([stack("bias_ih"), stack("bias_hh")], dim=1)
            self.register_buffer(f"bias_{depth}", biases)  # (directions, 2 * gates * hidden)

    def forward(self, inputs: Tensor, lengths: Tensor, state: State) -> Encoding:
        """As `Recurrent.forward`; the operators run time first."""
        batch_size, num_steps = inputs.shape[0], inputs.shape[1]
        steps = inputs.transpose(0, 1)  # (time, batch, features)
        lengths_int32 = lengths.to(torch.int32)
        finals: list[tuple[Tensor, ...]] = []
        for depth in range(self.num_layers):
            outputs, *final = self._operator(steps, lengths_int32, state, depth)
            # (time, directions, batch, hidden) -> (time, batch, width)
            steps = outputs.transpose(1, 2).reshape(num_steps, batch_size, self.width)
            finals.append(tuple(final))
        names = self.state_shapes() or {}
        return Encoding(
            outputs=steps.transpose(0, 1),
            last=finals[-1][0].transpose(0, 1).reshape(batch_size, self.width),
            state={
                name: torch.cat([final[index] for final in finals]).transpose(0, 1)
                for index, name in enumerate(names)
            },
            weights=None,
        )

    def _operator(
        self, steps: Tensor, lengths_int32: Tensor, state: State, depth: int
    ) -> tuple[Tensor, ...]:
        """One layer: outputs (time, directions, batch, hidden), then final states."""
        directions = 2 if self.bidirectional else 1
        final_shape = [directions, steps.shape[1], self.hidden_size]
        initial: list[Tensor | None] = [
            state[name].transpose(0, 1)[depth : depth + 1]
            for name in self.state_shapes() or {}
            if name in state  # the operators start from zeros
        ]
        attributes: dict[str, Attribute] = {
            "hidden_size": self.hidden_size,
            "direction": "bidirectional" if self.bidirectional else "forward",
        }
        if self.cell == "gru":
            attributes["linear_before_reset"] = 1
        if self.cell == "rnn_relu":
            attributes["activations"] = ["Relu"] * directions
        finals = 2 if self.cell == "lstm" else 1
        result: tuple[Tensor, ...] = tuple(
            torch.onnx.ops.symbolic_multi_out(
                OPERATORS[self.cell],
                [
                    steps,
                    getattr(self, f"input_weight_{depth}"),
                    getattr(self, f"hidden_weight_{depth}"),
                    getattr(self, f"bias_{depth}"),
                    lengths_int32,
                    *initial,
                ],
                attributes,
                dtypes=[torch.float32] * (1 + finals),
                shapes=[
                    [steps.shape[0], directions, steps.shape[1], self.hidden_size],
                    *[final_shape] * finals,
                ],
            )
        )
        return result
