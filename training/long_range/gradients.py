"""What comes back through time: the gradient of the last answer by each input before it.

In an Elman RNN it is a product of one Jacobian a step, W_hh^T diag(f'), which shrinks (or grows)
exponentially with the number of steps (Bengio, Simard & Frasconi, IEEE TNN 5, 1994); an LSTM's
cell and a GRU's state are carried on by a sum, whose factor a gate can hold at 1; attention reaches
every step in one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models import SequenceModel
from training.long_range.problems import Adding

NUM_ROWS = 64


def gradient_norms(model: SequenceModel, problem: Adding, seed: int = 0) -> NDArray[np.float64]:
    """The mean norm of d(answer) / d(x(T - lag)), by lag: (T,), the last step's first.

    Args:
        model: That answers the adding problem.
        problem: At the length to look at.
        seed: Of the examples.
    """
    inputs, _ = problem.batch(NUM_ROWS, torch.Generator().manual_seed(seed))
    inputs.requires_grad_()
    lengths = torch.full((NUM_ROWS,), problem.num_steps)
    (gradient,) = torch.autograd.grad(model(inputs, lengths).logits.sum(), inputs)
    norms: NDArray[np.float64] = gradient.norm(dim=2).mean(dim=0).double().numpy()
    return norms[::-1].copy()
