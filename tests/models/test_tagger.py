"""Taggers of every family that has an output for each word."""

from __future__ import annotations

import pytest
import torch

from models import FAMILIES
from models.tagging.tagger import TaggerArchitecture, build_tagger

TOKENS = [20, 9, 9, 9]
TAGS = 5


def architecture(family: str, has_transitions: bool = False, **sizes: object) -> TaggerArchitecture:
    return TaggerArchitecture(
        family,
        TOKENS,
        TAGS,
        has_transitions,
        hidden_size=16,
        **sizes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("has_transitions", [False, True])
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "attention"])
def test_every_word_has_logits_that_no_padding_moves(family: str, has_transitions: bool) -> None:
    torch.manual_seed(0)
    model = build_tagger(architecture(family, has_transitions)).eval()
    ids = torch.stack([torch.randint(1, count, (2, 6)) for count in TOKENS], dim=2)
    lengths = torch.tensor([6, 4])
    logits = model(ids, lengths).logits
    assert logits.shape == (2, 6, TAGS)
    alone = model(ids[1:, :4], lengths[1:]).logits
    torch.testing.assert_close(logits[1, :4], alone[0], atol=1e-5, rtol=0)


def test_what_can_not_tag_is_refused_when_it_is_described() -> None:
    with pytest.raises(ValueError, match="attention pools a whole sequence"):
        architecture("attention")
    with pytest.raises(ValueError, match="rnn runs over rnn_tanh, rnn_relu, not lstm"):
        architecture("rnn", cell="lstm")
    with pytest.raises(ValueError, match="unknown family 'svm'"):
        architecture("svm")
