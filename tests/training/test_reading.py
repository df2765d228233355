"""A user's own text files: every task reads them alike, and says what is wrong with its place."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.forecasting.frequency import read_frequency
from training.data.pairs.pairs import Pair, read_pairs
from training.data.reading import DataError, Reading, parse_table, read_lines, read_text
from training.data.series.series import read_series
from training.data.texts.characters import load_texts
from training.data.texts.conll import load_conll, read_conll
from training.data.texts.tsv import read_tsv
from training.recipe_file import read_recipe


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "a.txt", "\ufeff" * (encoding == "utf-16-le") + "é x\n")
    path.write_bytes(path.read_text("utf-8").encode(encoding))
    assert read_text(path) == "é x\n"


def test_only_newlines_end_lines(tmp_path: Path) -> None:
    text = "a\u2028b\r\nc\x85d\x0be\x0cf\x1cg\nh\r\n"
    assert read_lines(write(tmp_path, "a.txt", text)) == [
        "a\u2028b",
        "c\x85d\x0be\x0cf\x1cg",
        "h",
        "",
    ]


# each task's reader, and a file of one line that it takes
READERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "labelled.tsv": (read_tsv, "café{}x\tlabel\n"),
    "labelled.csv": (read_tsv, "café{}x,label\n"),
    "pairs.tsv": (read_pairs, "café{}x\tcoffee\n"),
    "tagged.conll": (read_conll, "café{}x\tNN\n"),
    "plain.txt": (lambda path: load_texts(path, path).symbols, "café{}x\n"),
}


@pytest.mark.parametrize("name", READERS)
def test_characters_that_python_takes_for_line_ends_are_of_the_text(
    tmp_path: Path, name: str
) -> None:
    read, line = READERS[name]
    told = read(write(tmp_path, name, "\ufeff" + line.format("\u2028")))
    assert told == read(write(tmp_path, name, line.format("\u2028")))
    assert "\ufeff" not in repr(told)
    assert repr("\u2028")[1:-1] in repr(told)


@pytest.mark.parametrize("name", READERS)
def test_another_encoding_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    read, line = READERS[name]
    path = write(tmp_path, name, (b"a\tb\n" + line.format("").encode("cp1252")))
    with pytest.raises(DataError) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}, line 2: byte 0xe9 is not UTF-8")
    assert "as cp1252 it reads 'caféx" in str(refused.value)
    assert "say encoding = 'cp1252'" in str(refused.value)


def test_the_encoding_may_be_said(tmp_path: Path) -> None:
    table = write(tmp_path, "a.tsv", "café\tx\n".encode("cp1252"))
    assert read_tsv(table, reading=Reading(encoding="cp1252")) == [("café", "x")]
    assert read_pairs(table, encoding="latin-1") == [Pair("café", ("x",))]
    assert read_conll(table, encoding="cp1252") == [(["café"], ["x"])]
    with pytest.raises(DataError, match="looks like UTF-16: say encoding = 'utf-16'"):
        read_text(write(tmp_path, "b.txt", "é\xfc".encode("utf-16-le") + b"\xd8"))
    with pytest.raises(ValueError, match="encoding: Python knows no 'utf8mb4'"):
        Reading(encoding="utf8mb4")


def labelled(folder: Path, name: str, content: str, **said: object) -> list[tuple[str, str]]:
    return [*read_tsv(write(folder, name, content), reading=Reading(**said))]  # type: ignore[arg-type]


def test_tables_as_programs_write_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = [('He said "no",\nthen left', "bad"), ("good; really", "good"), ("fine", "good")]
    for delimiter, name in ((",", "a.csv"), (";", "b.csv"), ("\t", "c.tsv"), ("\t", "d.csv")):
        written = io.StringIO()
        csv.writer(written, delimiter=delimiter).writerows([("Text", "Label"), *expected])
        assert labelled(tmp_path, name, "\ufeff" + written.getvalue()) == expected
        assert "the first row is a header: Text, Label" in capsys.readouterr().err
    assert labelled(tmp_path, "e.txt", "a|x\nb|y\n", delimiter="|") == [("a", "x"), ("b", "y")]


def test_quotes_that_are_plain_characters_stay(tmp_path: Path) -> None:
    lines = '"Great," she said\tgood\n"No\tbad\n'
    expected = [('"Great," she said', "good"), ('"No', "bad")]
    assert labelled(tmp_path, "a.tsv", lines) == expected
    assert labelled(tmp_path, "b.tsv", '"a"\tx\n"b"\ty\n') == [("a", "x"), ("b", "y")]
    plain = labelled(tmp_path, "c.tsv", '"a"\tx\n"b"\ty\n', quoted=False)
    assert plain == [('"a"', "x"), ('"b"', "y")]
    with pytest.raises(DataError, match=r"d\.csv, line 2: .* say quoted = false"):
        labelled(tmp_path, "d.csv", 'a,x\n"b,y\n')


def test_a_header_is_found_or_said(tmp_path: Path) -> None:
    told = "Kundentext\tBewertung\nschlecht\t1\nübel\t1\ngut\t5\nfein\t5\n"
    assert len(labelled(tmp_path, "a.tsv", told)) == 4
    assert len(labelled(tmp_path, "a.tsv", told, header=False)) == 5
    assert len(labelled(tmp_path, "b.tsv", "a\tx\nb\tx\nc\ty\nd\ty\n")) == 4
    assert len(labelled(tmp_path, "c.tsv", "text\tlabel\na\tx\n")) == 1
    path = write(tmp_path, "d.csv", "id,stars,review,lang\n7,5,nice,en\n8,1,bad,en\n")
    assert read_tsv(path, "review", "stars") == [("nice", "5"), ("bad", "1")]
    assert read_tsv(path, 3, 2, Reading(header=True)) == [("nice", "5"), ("bad", "1")]
    with pytest.raises(DataError, match="no column 'text'; its names are id, stars, review, lang"):
        read_tsv(path, "text", "stars")
    with pytest.raises(DataError, match=r"line 1: .* it has 4 columns; .* say which"):
        read_tsv(path)
    pairs = write(tmp_path, "e.csv", "id,de,en\n1,ja,yes\n")
    assert read_pairs(pairs, source="de", target="en") == [Pair("ja", ("yes",))]


CONLL_U = """\
# newdoc id = d1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tfue\tser\tVERB\t_\t_\t_\t_\t_\t_
3\tal mar\tmar\tNOUN\t_\t_\t1\tobl\t_\tSpaceAfter=No

# sent_id = 2
1\t#\t#\tSYM\t_\t_\t0\troot\t_\t_


"""


def test_conll_u_has_its_columns_and_no_word_twice(tmp_path: Path) -> None:
    path = write(tmp_path, "es.conllu", CONLL_U.replace("\n", "\r\n"))
    first, second = read_conll(path)
    assert first == (["vamos", "nos", "al mar"], ["VERB", "PRON", "NOUN"])
    assert second == (["#"], ["SYM"])
    assert read_conll(path, "FORM", "DEPREL")[0].tags == ["root", "obj", "obl"]
    assert read_conll(path, 3, 4)[0].words == ["ir", "nosotros", "mar"]
    with pytest.raises(DataError, match="no column 'NER'; its names are ID, FORM"):
        read_conll(path, tag="NER")
    plus = "# global.columns = FORM NER\nal\tO\nmar\tB-LOC\n"
    assert read_conll(write(tmp_path, "p.txt", plus), "FORM", "NER")[0].tags == ["O", "B-LOC"]


def test_comments_are_no_words_and_a_hash_may_be_one(tmp_path: Path) -> None:
    multi = "# id 0d1a-33 domain=en\nthe _ _ O\nNile _ _ B-LOC\n\n# NN I-NP O\n1 CD I-NP O\n"
    sentences = read_conll(write(tmp_path, "a.conll", multi))
    assert sentences == [(["the", "Nile"], ["O", "B-LOC"]), (["#", "1"], ["O", "O"])]
    spaces = read_conll(write(tmp_path, "b.conll", "10\u00a0000 NUM\nmen NOUN \n \n\t\n"))
    assert spaces == [(["10\u00a0000", "men"], ["NUM", "NOUN"])]
    with pytest.raises(DataError, match="line 2: a word and its tag are needed"):
        read_conll(write(tmp_path, "c.conll", "a b\tX\nNew York\n"))


def test_words_are_learnt_as_a_server_has_them(tmp_path: Path) -> None:
    path = write(tmp_path, "a.conll", '"\tX\ncafe\u0301\tY\n"\tX\n\u2014\tX\n')
    assert load_conll(path, path, "own").train[0].words == ["``", "café", "''", "--"]


def test_a_series_may_be_parted_by_semicolons() -> None:
    rows = '\ufefftime;"cars"\n2024-01-01;1\n2024-01-02;2\n'.removeprefix("\ufeff")
    series = read_series(rows, "own.csv", "time", "cars", [], read_frequency("D"))
    assert series.values.tolist() == [1, 2]


def test_a_recipes_own_files_take_other_options_too() -> None:
    recipe = read_recipe("languages-gru")
    own = recipe.on_files("mine", "a.csv", "b.csv", "c.csv", text="review", encoding="cp1252")
    assert own.data["text"], own.data["encoding"] == ("review", "cp1252")
    assert own.data["valid"] == "c.csv"


CELLS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('",;\t\n'), max_size=6
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1), st.sampled_from(",;"))
def test_what_a_csv_writer_writes_is_read(rows: list[tuple[str, str]], delimiter: str) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    table = parse_table(written.getvalue(), "a.csv", Reading())
    expected = [[cell.strip(" \t\r\n") for cell in row] for row in rows]
    assert [row.cells for row in table.rows[1:]] == [row for row in expected if any(row)]


@given(st.text(), st.sampled_from(["a.csv", "a.tsv"]))
def test_any_text_is_a_table_or_refused_by_line(text: str, name: str) -> None:
    refused = ""
    try:
        parse_table(text, name, Reading())
    except DataError as error:
        refused = str(error)
    assert refused == "" or refused.startswith(f"{name}, line ")
