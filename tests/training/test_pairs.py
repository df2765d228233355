"""Data sets of pairs: tables, and the loaders of the known ones on a few rows of each."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.fetching import download
from training.data.pairs import dates
from training.data.pairs.cmudict import load_cmudict, pronunciations
from training.data.pairs.ddtp import join, load_ddtp, plain
from training.data.pairs.pairs import Pair, load_tables, parts, read_pairs, write_table

# the first lines of the CMU Pronouncing Dictionary, and others of it
DICTIONARY = """\
'bout B AW1 T
a AH0
a(2) EY1
a.m. EY2 EH1 M
hello HH AH0 L OW1
hello(2) HH EH0 L OW1
hello(3) HH AH2 L OW0 # made: stress alone differs
seven-up S EH1 V AH0 N AH2 P # made
"""

ENGLISH = """\
Package: 0ad
Description: Real-time strategy game of ancient warfare
Description-md5: d943033bedada21853d2ae54a2578a7b

Package: other
Description: not translated
Description-md5: 0
"""
FRENCH = """\
Package: 0ad
Description-md5: d943033bedada21853d2ae54a2578a7b
Description-fr: jeu de stratégie en temps réel de guerres anciennes
 0 A.D est un jeu.

Package: gone
Description-md5: 1
Description-fr: disparu
"""

COLUMN = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


def test_a_table_has_sources_and_their_targets(tmp_path: Path) -> None:
    table = tmp_path / "train.tsv"
    table.write_text("one\tun\n\ntwo\tdeux\tcouple \n", encoding="utf-8")
    assert read_pairs(table) == [Pair("one", ("un",)), Pair("two", ("deux", "couple"))]


@given(rows=st.lists(st.tuples(COLUMN, st.lists(COLUMN, min_size=1, max_size=3)), min_size=1))
def test_a_table_survives_its_file(
    rows: list[tuple[str, list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = tmp_path_factory.mktemp("tables") / "a.tsv"
    made = [Pair(source, tuple(targets)) for source, targets in rows]
    write_table(table, made)
    assert read_pairs(table) == made


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("one\tun\ntwo\n", "line 2: expected source, tab, target"),
        ("one\t\n", "line 1"),
        ("\tun\n", "line 1"),
        ("one\tun\t\tdeux\n", "line 1"),
        ("\n", "has no rows"),
    ],
)
def test_a_malformed_table_is_refused_by_line(tmp_path: Path, content: str, reason: str) -> None:
    table = tmp_path / "a.tsv"
    table.write_text(content)
    with pytest.raises(ValueError, match=reason):
        read_pairs(table)


def test_validation_rows_are_drawn_where_none_are_given(tmp_path: Path) -> None:
    table, test = tmp_path / "train.tsv", tmp_path / "test.tsv"
    write_table(table, [Pair(f"s{number}", ("t",)) for number in range(40)])
    write_table(test, [Pair("x", ("y",))])
    data = load_tables(table, test)
    assert (len(data.train), len(data.validation), len(data.test)) == (38, 2, 1)
    assert not set(data.train) & set(data.validation)
    assert load_tables(table, test) == data
    assert load_tables(table, test, test).validation == [Pair("x", ("y",))]


def test_parts_are_alike_whatever_the_order() -> None:
    made = [Pair(str(number), ("t",)) for number in range(20)]
    assert parts(made, 4, 3) == parts(made[::-1], 4, 3)
    train, validation, test = parts(made, 4, 3)
    assert (len(train), len(validation), len(test)) == (13, 3, 4)
    assert {*train, *validation, *test} == set(made)
    with pytest.raises(ValueError, match="too few"):
        parts(made, 15, 5)


def test_pronunciations_are_without_stress_and_each_once() -> None:
    assert pronunciations(DICTIONARY) == [
        Pair("'bout", ("B AW T",)),
        Pair("a", ("AH", "EY")),
        Pair("hello", ("HH AH L OW", "HH EH L OW")),
    ]


def test_a_given_dictionary_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cmudict.dict").write_text(
        "".join(f"w{'a' * number} W{number % 3} A0\n" for number in range(14_680))
    )
    monkeypatch.setenv("SEQSERVE_DATA_DIR", str(tmp_path))
    data = load_cmudict()
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 2_670, 12_000)


def test_descriptions_are_joined_by_the_digest_of_the_original() -> None:
    assert join(ENGLISH, FRENCH) == [
        Pair(
            "Real-time strategy game of ancient warfare",
            ("jeu de stratégie en temps réel de guerres anciennes",),
        )
    ]


def test_typographic_variants_are_one() -> None:
    assert plain("l’hôte\xa0:  a⋅b") == "l'hôte : a b"  # noqa: RUF001


def test_an_index_that_is_given_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ddtp"
    folder.mkdir()
    (folder / "Packages").write_text(ENGLISH)
    (folder / "Translation-fr").write_text(FRENCH)
    monkeypatch.setenv("SEQSERVE_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="1 pairs are too few"):
        load_ddtp()


def test_dates_of_the_parts_differ() -> None:
    data = dates.load_dates()
    days = [{pair.targets[0] for pair in part} for part in (data.train, data.validation, data.test)]
    assert not days[0] & days[1]
    assert not days[0] & days[2]
    assert not days[1] & days[2]


def test_a_date_is_written_in_each_language() -> None:
    class First:
        def choice(self, options: tuple[str, ...]) -> str:
            return options[0]

    date = datetime.date(2012, 1, 18)
    assert dates.written(date, First()) == Pair("18. jan. 2012", ("2012-01-18",))  # type: ignore[arg-type]


def test_a_file_of_another_digest_is_not_kept(tmp_path: Path) -> None:
    served, path = tmp_path / "served", tmp_path / "cache" / "file"
    served.write_bytes(b"other")
    with pytest.raises(ValueError, match="has sha256"):
        download(served.as_uri(), path, "0" * 64)
    assert not list(path.parent.iterdir())
    download(
        served.as_uri(),
        path,
        "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa",
    )
    assert path.read_bytes() == b"other"
