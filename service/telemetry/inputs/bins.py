"""Values counted in bins, and how far the counts are from what a model learnt from.

The population stability index of shares `a` beside expected ones `e` is the sum over the bins of
(a - e) ln(a / e): the divergence of each from the other added up. After N. Siddiqi, *Credit Risk
Scorecards*, Wiley 2006, who takes below 0.1 for no change to speak of and above 0.25 for a large
one. Without any change it comes to about (bins - 1) / n for n independent values: see B. Yurdakul
and J. Naranjo, *Statistical properties of the population stability index*, Journal of Risk Model
Validation 14 (4), 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.manifest.parts import Bins

NUM_BINS = 10
LEAST_SHARE = 1e-4
"""What an empty bin counts as: the index of one would be infinite."""

Counts = NDArray[np.int64]
Values = NDArray[Any]


def population_stability(counts: Counts, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The index of each row.

    Args:
        counts: (..., bins), each row's sum at least 1.
        shares: (..., bins), that were expected.
    """
    found = counts / counts.sum(axis=-1, keepdims=True)
    found, expected = np.maximum(found, LEAST_SHARE), np.maximum(shares, LEAST_SHARE)
    index: NDArray[np.float64] = ((found - expected) * np.log(found / expected)).sum(axis=-1)
    return index


def bins_of(values: Values) -> Bins:
    """Bins between the deciles of what a model learns from; fewer where many values are equal.

    Args:
        values: (n,), finite.
    """
    places = np.arange(1, NUM_BINS) / NUM_BINS
    # as they are written: a share must be of the edge that is read again
    edges = sorted({float(f"{edge:.6g}") for edge in np.quantile(values, places)})
    counts = counted(values[:, None], np.array([edges]))[0]
    shares = [round(share, 6) for share in (counts / len(values)).tolist()]
    return Bins(edges=edges, shares=shares)


def bins_of_quantiles(quantiles: Mapping[str, float]) -> Bins | None:
    """Bins between known quantiles, by their place such as `0.5`; None if there are too few."""
    if len(quantiles) < 3:
        return None
    below: dict[float, float] = {}
    for place, value in sorted((float(place), value) for place, value in quantiles.items()):
        if place > 0:
            below[value] = place  # of equal ones, the last
    shares = np.diff([0.0, *below.values(), 1.0]).clip(0.0)
    return Bins(edges=list(below), shares=shares.tolist())


def edges_and_shares(bins: Sequence[Bins]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All features' bins as arrays (features, edges) and (features, edges + 1).

    A feature with fewer has infinite edges for the rest, and bins that nothing is expected in.
    """
    most = max(len(one.edges) for one in bins)
    edges = np.full((len(bins), most), np.inf)
    shares = np.zeros((len(bins), most + 1))
    for row, one in enumerate(bins):
        edges[row, : len(one.edges)] = one.edges
        shares[row, : len(one.shares)] = one.shares
    return edges, shares


def counted(values: Values, edges: NDArray[np.float64]) -> Counts:
    """How many values are in each bin; one that equals an edge is in the lower bin.

    Args:
        values: (n, features).
        edges: (features, edges), ascending.
    Returns:
        (features, edges + 1).
    """
    above = (values[:, :, None] > edges).sum(axis=0)  # (features, edges)
    bounds = np.full((len(edges), 1), len(values)), np.zeros((len(edges), 1), dtype=np.int64)
    outer = np.concatenate([bounds[0], above, bounds[1]], axis=1)
    counts: Counts = -np.diff(outer, axis=1)
    return counts
