"""The causal Transformer: every step attends to itself and to what came before, by a cache.

A layer, normalised before each part (Xiong et al., ICML 2020), its perceptron with squared
rectifiers (So et al., "Primer", NeurIPS 2021):

    h <- h + A(norm(h));    h <- h + W_2 max(0, W_1 norm(h))^2

The attention A (Vaswani et al., NIPS 2017) is over the `window` steps up to the one that asks.
Positions are rotations of queries and keys (Su et al., "RoFormer", 2021), pair j of a head's values
at step p by the angle p / 10000^(j / pairs):

    score(p, s) = (R(p) q(p)) . (R(s) k(s)) / sqrt(d)      depends on the steps by p - s alone

A cache holds keys as they are after their rotation, and of each entry the step it is of: so it may
lose its oldest entries, and a text of any length goes on in memory of `window` entries a row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sequence import Prediction, State

BASE = 10_000.0


class Rotation(NamedTuple):
    """Of some steps: sine and cosine of each pair's angle, (batch, time, 1, d / 2) each."""

    sine: Tensor
    cosine: Tensor

    @classmethod
    def at(cls, positions: Tensor, head_width: int) -> Rotation:
        """Of the steps at these positions, (batch, time)."""
        half = head_width // 2
        places = torch.arange(half, device=positions.device).to(positions.dtype)
        angles = (positions.unsqueeze(2) * BASE ** (-places / half)).unsqueeze(2)
        return cls(torch.sin(angles), torch.cos(angles))

    def __call__(self, vectors: Tensor) -> Tensor:
        """Rotate vectors, (batch, time, heads, d)."""
        first, second = vectors.chunk(2, dim=3)
        turned = first * self.cosine - second * self.sine
        return torch.cat([turned, second * self.cosine + first * self.sine], dim=3)


class CausalAttention(nn.Module):
    """Multi-head attention to what a mask lets each step see."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        if width % (2 * num_heads):
            raise ValueError(f"width {width} is no even number for each of {num_heads} heads")
        self.num_heads = num_heads
        self.head_width = width // num_heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.output.weight)  # a new layer is the identity

    def forward(
        self, hidden: Tensor, past: Tensor, rotation: Rotation, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            hidden: (batch, time, width).
            past: (batch, past, 2 * width), rotated keys and values of earlier steps.
            rotation: Of these steps.
            mask: bool (batch, 1, time, past + time), True where the second may be seen.
        Returns:
            outputs: (batch, time, width).
            entries: (batch, time, 2 * width), these steps' rotated keys and values.
        """
        width = hidden.shape[2]
        query, key, value = torch.split(self.query_key_value(hidden), width, dim=2)
        entries = torch.cat([rotation(self._heads(key)).flatten(2), value], dim=2)
        # (batch, 2 * heads, past + time, d): keys, then values, parted where both lie in one piece
        both = self._heads(torch.cat([past, entries], dim=1)).transpose(1, 2)
        keys, values = torch.split(both, self.num_heads, dim=1)
        asked = rotation(self._heads(query)).transpose(1, 2)
        context = functional.scaled_dot_product_attention(asked, keys, values, mask)
        # (batch, heads, time, d)
        return self.output(context.transpose(1, 2).flatten(2)), entries

    def _heads(self, vectors: Tensor) -> Tensor:
        """(batch, time, width) to (batch, time, heads, d); twice as wide, to twice the heads."""
        return vectors.reshape(vectors.shape[0], vectors.shape[1], -1, self.head_width)


class CausalLayer(nn.Module):
    """Attention, then a two-layer perceptron; each around a normalised residual."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, num_heads)
        self.perceptron_norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 4 * width, bias=False)
        self.outer = nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.outer.weight)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden: Tensor, past: Tensor, rotation: Rotation, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(batch, time, width) to the same, and the entries for the cache; see CausalAttention."""
        attended, entries = self.attention(self.attention_norm(hidden), past, rotation, mask)
        hidden = hidden + self.dropout(attended)
        inner = torch.relu(self.inner(self.perceptron_norm(hidden)))
        # a product of two: in ONNX, what is squared is a power, which takes longer
        return hidden + self.dropout(self.outer(inner * inner)), entries


def before(inputs: Tensor, earlier: Tensor, earlier_lengths: Tensor, back: int) -> Tensor:
    """The token `back` steps before each: int64 (batch, time), -1 before the beginning.

    Args:
        inputs: int64 (batch, time).
        earlier: int64 (batch, past), of which each row's first `earlier_lengths` came before.
        earlier_lengths: int64 (batch,).
        back: 1 or more.
    """
    past = earlier.shape[1]
    steps = torch.arange(inputs.shape[1], device=inputs.device).unsqueeze(0) - back  # (1, time)
    places_before = steps + earlier_lengths.unsqueeze(1)  # (batch, time), in `earlier`
    places = torch.where(steps >= 0, steps + past, places_before)
    tokens = torch.cat([earlier, inputs], dim=1).gather(1, places.clamp(min=0))
    return torch.where((steps >= 0) | (places_before >= 0), tokens, -1)


class CausalTransformer(nn.Module):
    """A causal Transformer language model over tokens, with the tokens just before embedded too.

    The first layer reads e(t) = sum over n of E_n[c(t-n)], n = 0 to `reach`: what a convolution
    over the last characters gives (Kim et al., AAAI 2016), and attention need not learn to find.

    Args:
        num_tokens: Of the vocabulary.
        width: Values a step, an even number for each head.
        num_heads: Of each layer.
        num_layers: Of the stack.
        window: Steps that a step attends to, itself among them; more than `reach`.
        reach: How many tokens before a step are embedded with it.
        dropout: Probability, on what each part of a layer adds.
    """

    def __init__(
        self,
        num_tokens: int,
        width: int,
        num_heads: int,
        num_layers: int,
        window: int,
        reach: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if window <= reach:
            raise ValueError(f"window {window} must be more than reach {reach}")
        self.num_tokens = num_tokens
        self.width = width
        self.window = window
        self.head_width = width // num_heads
        self.cache_width = num_layers * 2 * width + 2
        """Of an entry: keys and values of every layer, the token itself, and its step."""
        # the last row of each is for what lies before the beginning
        self.embeddings = nn.ModuleList(
            nn.Embedding(num_tokens + 1, width) for _ in range(reach + 1)
        )
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            CausalLayer(width, num_heads, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, num_tokens)
        nn.init.zeros_(self.output.weight)

    def initial_state(self, batch_size: int) -> State:
        """No entries yet."""
        weight = self.output.weight
        return {
            "cache": weight.new_zeros(batch_size, 0, self.cache_width),
            "cache_lengths": torch.zeros(batch_size, dtype=torch.int64, device=weight.device),
        }

    def forward(self, inputs: Tensor, lengths: Tensor, state: State | None = None) -> Prediction:
        """Logits (batch, time, tokens) of what follows each step; rubbish past each length.

        Args:
            inputs: int64 (batch, time), tokens.
            lengths: int64 (batch,), 1 to time.
            state: `cache` (batch, past, cache_width) and `cache_lengths` int64 (batch,), as an
                earlier call returned them; those of a text that begins if None.
        """
        state = state or self.initial_state(inputs.shape[0])
        hidden, entries = self.read(inputs, state["cache"], state["cache_lengths"])
        # whole windows are learnt from, which nothing goes on from
        state = {} if self.training else self._extend(state, entries, lengths)
        return Prediction(self.output(hidden), state, None)

    def read(self, inputs: Tensor, cache: Tensor, cache_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Read steps after those of a cache.

        Args:
            inputs: int64 (batch, time), tokens.
            cache: (batch, past, cache_width); entries past a row's length never matter, but must be
                finite.
            cache_lengths: int64 (batch,), 0 to past.
        Returns:
            hidden: (batch, time, width), normalised.
            entries: (batch, time, cache_width), to be appended to each row's own.
        """
        num_steps, past = inputs.shape[1], cache.shape[1]
        real = torch.arange(past, device=inputs.device) < cache_lengths.unsqueeze(1)
        steps = cache[:, :, -1]  # (batch, past)
        ended = torch.where(real, steps + 1, torch.zeros_like(steps))
        begin = functional.pad(ended, (1, 0)).amax(dim=1, keepdim=True)  # 0 without entries
        new = begin + torch.arange(num_steps, device=inputs.device)  # (batch, time)
        distances = new.unsqueeze(2) - torch.cat([steps, new], dim=1).unsqueeze(1)
        there = torch.cat([real, torch.ones_like(inputs, dtype=torch.bool)], dim=1)
        mask = (distances >= 0) & (distances < self.window) & there.unsqueeze(1)
        rotation = Rotation.at(new, self.head_width)
        earlier = torch.where(real, cache[:, :, -2], torch.zeros_like(steps)).to(torch.int64)
        hidden = torch.zeros_like(inputs, dtype=cache.dtype).unsqueeze(2)
        for back, embedding in enumerate(self.embeddings):
            tokens = before(inputs, earlier, cache_lengths, back) if back else inputs
            hidden = hidden + embedding(torch.where(tokens < 0, self.num_tokens, tokens))
        hidden = self.dropout(hidden)
        added = []
        for depth, layer in enumerate(self.layers):
            part = cache[:, :, 2 * depth * self.width : 2 * (depth + 1) * self.width]
            hidden, entries = layer(hidden, part, rotation, mask.unsqueeze(1))
            added.append(entries)
        added += [inputs.unsqueeze(2).to(cache.dtype), new.unsqueeze(2)]
        return self.norm(hidden), torch.cat(added, dim=2)

    def _extend(self, state: State, entries: Tensor, lengths: Tensor) -> State:
        """The cache with each row's new entries after its own, no more than are ever seen again."""
        old, past = state["cache_lengths"], state["cache"].shape[1]
        kept = (old + lengths).clamp(max=self.window - 1)
        places = (
            torch.arange(int(kept.max()), device=lengths.device) + (old + lengths - kept)[:, None]
        )
        behind = (places - old[:, None]).clamp(max=entries.shape[1] - 1) + past
        places = torch.where(places < old[:, None], places, behind)
        joined = torch.cat([state["cache"], entries], dim=1)
        index = places.unsqueeze(2).expand(-1, -1, self.cache_width)
        return {"cache": joined.gather(1, index), "cache_lengths": kept}
