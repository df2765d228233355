"""Bodies of the same words differ in nothing but their numbers and the text of their ids."""

from __future__ import annotations

from itertools import product

import pytest

from service import native
from service.lane.heads import READER

MODEL = "sum 1 abc"
PIECES = [b'"id":"', b'"data":', b" ", b"[1]", b"[]", b'"', b"a", b"}"]


def words_of(body: bytes, json_bytes: int) -> tuple[object, ...] | None:
    """What stands around the numbers and the id; None if the words are not to be kept."""
    cuts = native.cuts_of(body, json_bytes)
    if cuts is None:
        return None
    around = []
    at = 0
    for start, stop in sorted(place for place in cuts if place is not None):
        around.append(body[at:start])
        at = stop
    return json_bytes < 0, *around, body[at:]


def test_the_same_words_are_the_same_but_for_what_is_cut_out() -> None:
    """All short bodies there are, of the pieces that could be taken for one another."""
    path = native.FastPath(native.Engine(1), READER, 1.0, 1 << 20)
    came = set()
    num_again = 0
    for size in range(6):
        for pieces in product(PIECES, repeat=size):
            body = b"".join(pieces)
            for whole, json_bytes in ((body, -1), (body + b"blob", len(body))):
                words = words_of(whole, json_bytes)
                comes_again = path.comes_again(MODEL, whole, json_bytes)
                assert comes_again == (words in came), whole
                num_again += comes_again
                if words is not None:
                    came.add(words)
    assert num_again > 1_000


@pytest.mark.parametrize(
    ("body", "id_"),
    [
        (b'{"id":"mine","data":[1]}', b"mine"),
        (b'{"id": "mine","data":[1]}', b"mine"),
        (b'{"data":[1],"id":"a ]}{[,: b"}', b"a ]}{[,: b"),
        (b'{"id":"","data":[1]}', b""),
        (b'{"id":"first","data":[1],"id":"second"}', b"first"),
        (b'{"id":null,"data":[1]}', None),
        (b'{"id":7,"data":[1]}', None),
        (b'{"id" :"x","data":[1]}', None),
        (b'{"data":[1]}', None),
    ],
)
def test_the_first_plain_id_is_cut_out(body: bytes, id_: bytes | None) -> None:
    for whole, json_bytes in ((body, -1), (body + b"blob", len(body))):
        cuts = native.cuts_of(whole, json_bytes)
        assert cuts is not None
        (start, stop), place = cuts
        assert whole[start:stop] == (b"[1]" if json_bytes < 0 else b"blob")
        assert (None if place is None else whole[slice(*place)]) == id_


@pytest.mark.parametrize("id_", ['\\"', "\\u0061", "é", "\n", "\x7f", "\0"])
def test_an_id_that_is_not_plain_is_not_known(id_: str) -> None:
    body = f'{{"id":"{id_}","data":[1]}}'.encode()
    assert native.cuts_of(body, -1) is None
    assert native.cuts_of(body + b"blob", len(body)) is None
