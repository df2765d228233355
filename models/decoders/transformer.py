"""The Transformer as encoder-decoder (Vaswani et al., NIPS 2017), normalised before each part.

A decoder layer attends to the targets so far, then to the memory, then runs its perceptron:

    h <- h + A(norm(h), past and h, causal);  h <- h + A(norm(h), memory);  h <- h + P(norm(h))

The cache holds each layer's keys and values of the targets so far, the memory those of the source:
a step projects only itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.decoders.attention import attend, clean
from models.decoders.translator import Decoded, Encoded, Past, Translator
from models.sequence import State, step_mask
from models.transformer import SelfAttentionStack, sinusoids


class DecoderLayer(nn.Module):
    """Causal self-attention over a cache, attention to a memory, and a perceptron."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.self_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.self_output = nn.Linear(width, width)
        self.memory_norm = nn.LayerNorm(width)
        self.memory_query = nn.Linear(width, width)
        self.memory_key_value = nn.Linear(width, 2 * width)
        self.memory_output = nn.Linear(width, width)
        self.perceptron_norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden: Tensor, cached: Tensor, memory: Tensor, own_mask: Tensor, memory_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layer.

        Args:
            hidden: (batch, time, width), of the tokens read now.
            cached: (batch, past, 2 * width), keys and values of this layer; finite.
            memory: (batch, source, 2 * width), likewise of the source.
            own_mask: bool (batch, 1, time, past + time).
            memory_mask: bool (batch, 1, 1, source).
        Returns:
            hidden: (batch, time, width).
            new: (batch, time, 2 * width), to be added to the cache.
            weights: (batch, heads, time, source).
        """
        width = hidden.shape[2]
        query, new = self.query_key_value(self.self_norm(hidden)).split([width, 2 * width], dim=2)
        keys, values = torch.cat([cached, new], dim=1).chunk(2, dim=2)
        context, _ = attend(query, keys, values, own_mask, self.num_heads)
        hidden = hidden + self.dropout(self.self_output(context))
        query = self.memory_query(self.memory_norm(hidden))
        keys, values = memory.chunk(2, dim=2)
        context, weights = attend(query, keys, values, memory_mask, self.num_heads)
        hidden = hidden + self.dropout(self.memory_output(context))
        hidden = hidden + self.dropout(self.perceptron(self.perceptron_norm(hidden)))
        return hidden, new, weights


class TransformerTranslator(Translator):
    """Encoder and decoder of `num_layers` each; O is the target embedding again."""

    def __init__(
        self,
        num_source_tokens: int,
        num_target_tokens: int,
        *,
        hidden_size: int = 128,
        num_heads: int = 4,
        num_layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if hidden_size % (2 * num_heads):
            raise ValueError(f"hidden_size {hidden_size} is not a multiple of {2 * num_heads}")
        self.width = hidden_size
        self.num_source_tokens = num_source_tokens
        self.num_target_tokens = num_target_tokens
        self.source_embedding = nn.Embedding(num_source_tokens, hidden_size)
        self.target_embedding = nn.Embedding(num_target_tokens, hidden_size)
        self.encoder = SelfAttentionStack(hidden_size, num_heads, num_layers, dropout)
        self.layers = nn.ModuleList(
            DecoderLayer(hidden_size, num_heads, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.bias = nn.Parameter(torch.zeros(num_target_tokens))
        self.dropout = nn.Dropout(dropout)
        self.memory_width = self.cache_width = 2 * hidden_size * num_layers
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=hidden_size**-0.5)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """None: what it knows of the past is the cache."""
        return {}

    def encode(self, inputs: Tensor, lengths: Tensor) -> Encoded:
        """As `Translator.encode`; the memory is the keys and values of every decoder layer."""
        embedded = self.source_embedding(inputs) * self.width**0.5
        embedded = embedded + sinusoids(inputs.shape[1], self.width, embedded)
        outputs = self.encoder(self.dropout(embedded), lengths).outputs
        parts = [layer.memory_key_value(outputs) for layer in self.layers]  # type: ignore[operator]
        return Encoded(torch.cat(parts, dim=2), {})

    def decode(
        self, inputs: Tensor, lengths: Tensor, past: Past, memory: Tensor, memory_lengths: Tensor
    ) -> Decoded:
        """As `Translator.decode`; a row's first token stands at its cache's length."""
        assert past.cache is not None
        assert past.cache_lengths is not None
        num_steps, num_past = inputs.shape[1], past.cache.shape[1]
        places = past.cache_lengths.unsqueeze(1) + torch.arange(num_steps)  # (batch, time)
        hidden = self.target_embedding(inputs) * self.width**0.5
        hidden = self.dropout(hidden + positions(places, self.width, hidden))
        causal = torch.ones(num_steps, num_steps, dtype=torch.bool).tril()
        own_mask = torch.cat(
            [
                step_mask(past.cache_lengths, num_past)[:, None, None, :].expand(
                    -1, 1, num_steps, num_past
                ),
                causal[None, None].expand(inputs.shape[0], 1, num_steps, num_steps),
            ],
            dim=3,
        )
        memory_mask = step_mask(memory_lengths, memory.shape[1])[:, None, None, :]
        cached_parts = clean(past.cache, past.cache_lengths).chunk(len(self.layers), dim=2)
        memory_parts = clean(memory, memory_lengths).chunk(len(self.layers), dim=2)
        entries = []
        for layer, cached, remembered in zip(self.layers, cached_parts, memory_parts, strict=True):
            hidden, new, weights = layer(hidden, cached, remembered, own_mask, memory_mask)
            entries.append(new)
        answer = self.norm(hidden)
        logits = torch.matmul(answer, self.target_embedding.weight.transpose(0, 1)) + self.bias
        state: State = {}
        return Decoded(logits, state, torch.cat(entries, dim=2), weights.mean(dim=1))


def positions(places: Tensor, width: int, like: Tensor) -> Tensor:
    """`sinusoids` at places int64 (batch, time): (batch, time, width)."""
    half = torch.arange(0, width, 2, device=places.device).to(like.dtype)
    rates = torch.exp(half * (-torch.log(torch.tensor(10_000.0, dtype=like.dtype)) / width))
    angles = places.to(like.dtype).unsqueeze(2) * rates  # (batch, time, width / 2)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=2)
