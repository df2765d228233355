"""The front of a tagger: each word's own vector beside one made of its characters.

    e(t) = [E_word w(t), max over places i of relu(W c(i-1 .. i+1) + b)]

c(i) = E_char of the word's character i (a character-level CNN: dos Santos & Zadrozny, ICML 2014; Ma
& Hovy, ACL 2016). Padding, id 0, is a zero vector, so that a word's ends show.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WordsAndCharacters(nn.Module):
    """From ids (batch, time, 1 + characters) to vectors.

    Args:
        tokens: How many ids each value of a step has: words, then as many characters a place.
        word_size: Values of a word's vector.
        character_size: Values of a character's vector.
        num_filters: Values that the characters of a word become.
        dropout: Probability, on the vectors.
    """

    def __init__(
        self,
        tokens: tuple[int, ...],
        word_size: int,
        character_size: int,
        num_filters: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(tokens) < 2 or len(set(tokens[1:])) != 1:
            raise ValueError("tokens are a word's, then alike for every place of a character")
        self.tokens = list(tokens)
        self.input_size = word_size + num_filters
        self.words = nn.Embedding(tokens[0], word_size, padding_idx=0)
        self.characters = nn.Embedding(tokens[1], character_size, padding_idx=0)
        for embedding in (self.words, self.characters):
            nn.init.normal_(embedding.weight, std=embedding.embedding_dim**-0.5)
            nn.init.zeros_(embedding.weight[0])
        self.convolution = nn.Conv1d(character_size, num_filters, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def sample(self, batch_size: int, num_steps: int) -> Tensor:
        """Ids (batch, time, 1 + characters) of the vocabularies."""
        ids = [torch.randint(count, (batch_size, num_steps)) for count in self.tokens]
        return torch.stack(ids, dim=2)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, time, 1 + characters) to (batch, time, word_size + num_filters)."""
        batch_size, num_steps, num_values = inputs.shape
        word = self.words(inputs[:, :, 0])
        places = self.characters(inputs[:, :, 1:].reshape(-1, num_values - 1))
        convolved = torch.relu(self.convolution(places.transpose(1, 2)))  # (steps, filters, places)
        spelt = convolved.amax(dim=2).reshape(batch_size, num_steps, -1)
        return self.dropout(torch.cat([word, spelt], dim=2))  # type: ignore[no-any-return]
