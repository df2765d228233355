"""Fronts of several tokens a step, against the equations in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models.fronts import Embeddings
from models.tagging.words import WordsAndCharacters

TOKENS = (7, 5, 5, 5, 5)


def front(dropout: float = 0.0) -> WordsAndCharacters:
    torch.manual_seed(0)
    return WordsAndCharacters(TOKENS, 6, 3, 4, dropout).double().eval()


def test_vectors_are_those_of_the_equations() -> None:
    module = front()
    weights = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    inputs = np.random.default_rng(0).integers(0, TOKENS, (2, 3, 5))
    outputs = module(torch.from_numpy(inputs)).detach().numpy()
    assert outputs.shape == (2, 3, module.input_size)
    for row, step in np.ndindex(2, 3):
        word, *characters = inputs[row, step]
        # zeros before the first place and after the last
        spelt = np.zeros((6, 3))
        spelt[1:-1] = weights["characters.weight"][characters]
        filters, bias = weights["convolution.weight"], weights["convolution.bias"]
        places = [
            np.maximum(0, np.einsum("fcw,wc->f", filters, spelt[place : place + 3]) + bias)
            for place in range(4)
        ]
        expected = np.concatenate([weights["words.weight"][word], np.max(places, axis=0)])
        assert_allclose(outputs[row, step], expected, rtol=1e-9)


def test_padding_is_a_zero_vector_and_stays_one() -> None:
    module = front()
    module(torch.zeros(1, 1, 5, dtype=torch.int64)).sum().backward()
    for embedding in (module.words, module.characters):
        assert not embedding.weight[0].any()
        assert embedding.weight.grad is not None
        assert not embedding.weight.grad[0].any()


def test_places_of_characters_are_of_one_vocabulary() -> None:
    with pytest.raises(ValueError, match="alike"):
        WordsAndCharacters((7, 5, 6), 6, 3, 4)


def test_a_step_of_several_tokens_is_the_sum_of_their_vectors() -> None:
    torch.manual_seed(0)
    front = Embeddings([5, 7], 3).double().eval()
    inputs = np.random.default_rng(0).integers(0, [5, 7], (2, 4, 2))
    first, second = (weights.numpy() for weights in front.state_dict().values())
    expected = first[inputs[:, :, 0]] + second[inputs[:, :, 1]]
    assert_allclose(front(torch.from_numpy(inputs)).detach().numpy(), expected)
    sample = front.sample(2, 9)
    assert sample.shape == (2, 9, 2)
    assert (sample < torch.tensor([5, 7])).all()
