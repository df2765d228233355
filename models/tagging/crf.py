"""A linear-chain conditional random field over per-step logits, for training.

The score of tags y of one sequence, its logits as emissions (Lafferty et al., ICML 2001; over a
recurrent network: Lample et al., NAACL 2016):

    s(y) = start[y(1)] + sum_t emissions[t, y(t)] + sum_t transitions[y(t-1), y(t)] + end[y(T)]
    loss = log sum over all y' of exp(s(y')) - s(y)

The sum over all y' is the forward algorithm's: alpha(1) = start + emissions[1],
alpha(t)[j] = log sum_i exp(alpha(t-1)[i] + transitions[i, j]) + emissions[t, j].
A graph answers the emissions only; who serves it decodes with this module's numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.heads import PerStep
from models.sequence import step_mask

FORBIDDEN = -1e4
"""Added where one tag must not follow another: finite, so that no gradient becomes NaN."""


class ConditionalRandomField(nn.Module):
    """Transitions of `num_tags` tags, zero at first."""

    ban: Tensor
    ban_first: Tensor

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.between = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.start = nn.Parameter(torch.zeros(num_tags))
        self.end = nn.Parameter(torch.zeros(num_tags))
        self.register_buffer("ban", torch.zeros(num_tags, num_tags))
        self.register_buffer("ban_first", torch.zeros(num_tags))

    def forbid(self, between: Tensor, first: Tensor) -> None:
        """Give what must not be a score that leaves it no probability.

        Args:
            between: bool (tags, tags), whether the column's tag must not follow the row's.
            first: bool (tags,), whether no sequence may begin with the tag.
        """
        self.ban.copy_(torch.where(between, FORBIDDEN, 0.0))
        self.ban_first.copy_(torch.where(first, FORBIDDEN, 0.0))

    def transitions(self) -> tuple[Tensor, Tensor, Tensor]:
        """between (tags, tags), start (tags,) and end (tags,), with what is forbidden."""
        return self.between + self.ban, self.start + self.ban_first, self.end

    def forward(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """The loss of each sequence, (batch,): the negative logarithm of its tags' probability.

        Args:
            emissions: (batch, time, tags).
            tags: int64 (batch, time); anything past each length.
            lengths: int64 (batch,), 1 to time.
        """
        return self.log_partition(emissions, lengths) - self.score(emissions, tags, lengths)

    def score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """s of the given tags, (batch,)."""
        between, start, end = self.transitions()
        mask = step_mask(lengths, tags.shape[1])
        tags = torch.where(mask, tags, 0)
        emitted = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)  # (batch, time)
        moved = between[tags[:, :-1], tags[:, 1:]]  # (batch, time - 1)
        last = tags.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1)
        return (
            start[tags[:, 0]]
            + torch.where(mask, emitted, 0.0).sum(dim=1)
            + torch.where(mask[:, 1:], moved, 0.0).sum(dim=1)
            + end[last]
        )

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """log of the sum of exp(s) over all tags there could be, (batch,)."""
        between, start, end = self.transitions()
        alpha = start + emissions[:, 0]  # (batch, tags)
        for step in range(1, emissions.shape[1]):
            reached = torch.logsumexp(alpha.unsqueeze(2) + between, dim=1) + emissions[:, step]
            alpha = torch.where((step < lengths).unsqueeze(1), reached, alpha)
        return torch.logsumexp(alpha + end, dim=1)


class Emissions(PerStep):
    """Logits of each step, as emissions for a random field of its own that training needs."""

    def __init__(self, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__(width, num_classes, dropout)
        self.field = ConditionalRandomField(num_classes)
