"""A user's own recordings with transcripts: from a table to a server that writes down others."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from service.tasks.audio import read_recording
from service.tasks.features import LogMel
from tests.servers import serving
from tests.training.spoken import speak, write_spoken
from training.__main__ import main
from training.data.batches import Row
from training.data.frames.recordings import Item
from training.data.frames.transcribed import UNKNOWN, Part, Transcribed
from training.data.frames.transcripts import draw, load_transcripts, symbols_of
from training.data.reading import DataError
from training.recipe_file import RecipeFile
from training.tasks import TASKS
from training.tasks.transcription.baselines import nearest_error_rate
from training.tasks.transcription.objective import NOT_TOLD
from training.tasks.transcription.task import scores

RECIPE = """
task = "transcription"
family = "birnn"

[data]
train = "{table}"
transcript = "transcript"
group = "speaker"
features = {{ num_mels = 12 }}

[architecture]
hidden_size = 24
num_layers = 1

[fit]
steps = 150
batch_size = 16
learning_rate = 2e-2
evaluate_every = 50

[augment]
gain = 0.2
"""


def test_a_table_of_transcripts_becomes_a_model_that_writes_down(tmp_path: Path) -> None:
    recipe = tmp_path / "tones.toml"
    recipe.write_text(RECIPE.format(table=write_spoken(tmp_path)))
    folders = [f"--run-dir={tmp_path / 'runs'}", f"--repository={tmp_path / 'repository'}"]
    main(["bundles", str(recipe), *folders, "--jobs=1"])
    bundle = tmp_path / "repository" / "tones" / "1"
    metrics = json.loads((bundle / "metrics.json").read_text())
    assert metrics["metric"] == "character_error_rate"
    assert metrics["test"]["character_error_rate"] < 0.1
    assert metrics["sequences"] == {"train": 60, "validation": 12, "test": 24}
    assert set(metrics["baselines"]) == {"transcript of the nearest training recording", "no text"}
    assert metrics["beaten_by"] == []
    manifest = json.loads((bundle / "model.json").read_text())
    assert manifest["outputs"]["labels"] == [" ", "a", "b", "é", "blank"]
    assert manifest["settings"] == {"task": "transcription", "blank": 4, "separator": ""}
    with serving(tmp_path / "repository") as server:
        for rate_hz, channels in ((8_000, 1), (44_100, 2)):
            for decoder in ("greedy", "beam"):
                path = speak(tmp_path / "asked.wav", "aé bb", rate_hz, channels, seed=99)
                answer = server.client.post(
                    f"/v1/models/tones/predict?decoder={decoder}",
                    content=path.read_bytes(),
                    headers={"Content-Type": "audio/wav"},
                )
                assert answer.status_code == 200, answer.text
                (found,) = answer.json()["predictions"]
                assert found["text"] == "aé bb"
                assert [word["label"] for word in found["words"]] == list("aé bb")


def loaded(folder: Path, unit: str = "character", **options: object) -> Transcribed:
    table = folder / "spoken.csv"
    found = TASKS["transcription"].load(
        train=str(table if table.exists() else write_spoken(folder, 24)), unit=unit, **options
    )
    assert isinstance(found, Transcribed)
    return found


def test_parts_are_what_the_table_says_as_the_service_hears_it(tmp_path: Path) -> None:
    data = loaded(tmp_path, features={"num_mels": 8, "hop_ms": 10.0})
    rows = [line.split(",") for line in (tmp_path / "spoken.csv").read_text().splitlines()[1:]]
    expected = []
    for file, text, _ in rows:
        samples = read_recording((tmp_path / file).read_bytes(), 60)
        expected.append((LogMel(num_mels=8, hop_ms=10.0).frames(*samples).tobytes(), text))
    found = [
        (frames.tobytes(), "".join(data.labels[number] for number in said))
        for part in (data.train, data.validation, data.test)
        for frames, said in zip(part.frames, part.said, strict=True)
    ]
    assert sorted(found) == sorted(expected)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [17, 2, 5]
    assert data.split == "as given: spoken.csv; drawn at random: validation and test"
    assert data.max_length == 4 * max(map(len, data.train.frames))


@pytest.mark.parametrize(("unit", "separator"), [("character", ""), ("word", " ")])
def test_labels_are_what_a_recipe_says(tmp_path: Path, unit: str, separator: str) -> None:
    data = loaded(tmp_path, unit=unit, validation_share=0.05, test_share=0.05)
    assert (" " in data.labels) == (unit == "character")
    run = RecipeFile(name="own", task="transcription", family="birnn").run(data, 0)
    model, objective = TASKS["transcription"].begin(run, data)
    metrics = TASKS["transcription"].measure(model, data, objective)
    assert metrics["metric"] == f"{unit}_error_rate"
    metrics |= {"baselines": {"no text": 1.0}, "seeds": {"0": 1.0}}
    contract = TASKS["transcription"].contract(run, data, objective, model, metrics)
    assert contract.settings
    assert contract.settings.model_dump()["separator"] == separator


def test_accents_are_letters_and_white_space_is_one_space() -> None:
    assert symbols_of("  e\u0301t\u00e9 \t a ", "character") == ["é", "t", "é", " ", "a"]
    assert symbols_of("  e\u0301t\u00e9 \t a ", "word") == ["été", "a"]


def test_ctc_begins_at_once_where_nobody_knows_when_what_is_said(tmp_path: Path) -> None:
    data = loaded(tmp_path, validation_share=0.1)
    run = RecipeFile(name="own", task="transcription", family="lstm").run(data, 0)
    _, objective = TASKS["transcription"].begin(run, data)
    example = objective.example(Row(3, (0, 0, 0)))
    assert example.said == data.train.said[3]
    assert (example.labels == NOT_TOLD).all()
    assert len(example.labels) == len(example.frames)


class SaysAB(nn.Module):
    """Hears nothing, and says 0, then 1."""

    def forward(self, inputs: Tensor, lengths: Tensor) -> SimpleNamespace:
        logits = torch.full((*inputs.shape[:2], 3), -9.0)
        for step, label in enumerate((0, 2, 1, 2)):
            logits[:, step, label] = 9.0
        return SimpleNamespace(logits=logits)


def test_the_score_is_the_character_error_rate_by_hand() -> None:
    # of "ab" nothing is wrong, of "b" one is inserted, of "axb" one is left out: 2 of 6
    part = Part([np.zeros((4, 2), np.float32)] * 3, [[0, 1], [1], [0, UNKNOWN, 1]])
    data = transcribed(part, part)
    assert scores(SaysAB(), part, data) == {  # type: ignore[arg-type]
        "character_error_rate": pytest.approx(2 / 6),
        "character_error_rate_beam": pytest.approx(2 / 6),
        "sequence_accuracy": pytest.approx(1 / 3),
        "characters": 6,
        "unknown_characters": 1,
    }


def transcribed(learnt: Part, scored: Part) -> Transcribed:
    return Transcribed(
        train=learnt,
        validation=scored,
        test=scored,
        split="made",
        audio=LogMel(num_mels=2),
        name="made",
        licence="none",
        labels=["a", "b"],
        unit="character",
        max_length=9,
    )


def test_the_baseline_says_what_sounds_most_alike() -> None:
    low, high = np.full((5, 2), -9.0, np.float32), np.full((5, 2), -9.0, np.float32)
    low[:, 0] = high[:, 1] = -1.0
    learnt = Part([low, high], [[0], [1, 1]])
    asked = Part([high + np.float32(0.1), low, low], [[1, 1], [0], [1]])
    assert nearest_error_rate(transcribed(learnt, asked)) == pytest.approx(1 / 4)


def refused(folder: Path, content: str, **options: object) -> str:
    (folder / "own.csv").write_text(content)
    with pytest.raises(ValueError, match=r".") as error:
        load_transcripts(str(folder / "own.csv"), "", "", LogMel(), **options)  # type: ignore[arg-type]
    return str(error.value)


def test_what_is_wrong_names_its_file_and_line(tmp_path: Path) -> None:
    speak(tmp_path / "a.wav", "a", 8_000)
    good = "file,transcript,speaker\na.wav,a,x\n"
    steps = LogMel().num_frames(*_size(tmp_path / "a.wav"))
    # equal neighbours need a blank between
    fits, no_fit = "a" * ((steps + 1) // 2), "a" * ((steps + 1) // 2 + 1)
    wrong = f"a.wav,{no_fit},x\n"
    found = refused(tmp_path, f"{good}a.wav,{fits},x\n" + wrong * 8)
    assert (
        f"own.csv, line 4: a.wav has {steps} steps of 20 ms, its {len(no_fit)} characters need "
        f"{2 * len(no_fit) - 1}" in found
    )
    assert "line 3" not in found
    assert all(f"line {line}: " in found for line in range(4, 12))  # whatever part they are in
    assert "; and 1 more: see whether the" in refused(tmp_path, good + wrong * 9)
    assert "a column of 1, 2 is empty" in refused(tmp_path, good + "a.wav,,x\n")
    assert "own.csv, line 3: there is no file" in refused(tmp_path, good + "b.wav,b,x\n")
    assert "unit: 'letter'" in refused(tmp_path, good, unit="letter")
    assert "a share of 1.5 is not" in refused(tmp_path, good, test_share=1.5)
    assert "1 group is too few" in refused(tmp_path, good + "a.wav,a,x\n", group="speaker")
    with pytest.raises(DataError, match="is no table"):
        load_transcripts(str(tmp_path), "", "", LogMel())
    with pytest.raises(ValueError, match="need a table to learn from"):
        TASKS["transcription"].load(test="own.csv")


def test_labels_that_no_model_can_have_learnt_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speak(tmp_path / "a.wav", "aaa", 8_000)
    for name, texts in (("train", ["ab", "ba"]), ("valid", ["a"]), ("test", ["axy", "by"])):
        lines = "".join(f"a.wav,{text}\n" for text in texts)
        (tmp_path / f"{name}.tsv").write_text(lines.replace(",", "\t"))
    train, valid, test = (str(tmp_path / f"{name}.tsv") for name in ("train", "valid", "test"))
    data = load_transcripts(train, valid, test, LogMel())
    assert data.labels == ["a", "b"]
    assert data.test.said == [[0, UNKNOWN, UNKNOWN], [1, UNKNOWN]]
    assert (data.validation.num_unknown, data.test.num_unknown) == (0, 3)
    assert data.split == "as given: train.tsv, valid.tsv, test.tsv"
    told = capsys.readouterr().err
    assert "test.tsv: 3 characters of the test part are not in the training part" in told
    assert "'x', 'y'" in told
    assert "validation part" not in told


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=30),
    st.floats(0.05, 0.5),
)
def test_a_draw_parts_no_group_and_loses_nothing(groups: list[int], share: float) -> None:
    items = [Item(Path(str(place)), "a", f"g{group}", "") for place, group in enumerate(groups)]
    if len(set(groups)) < 2:
        with pytest.raises(ValueError, match="1 group is too few"):
            draw(items, share)
        return
    learnt, held = draw(items, share)
    assert learnt
    assert held
    assert not {item.group for item in learnt} & {item.group for item in held}
    assert sorted(learnt + held) == sorted(items)
    again = draw(items, share)
    assert again == (learnt, held)


def _size(path: Path) -> tuple[int, int]:
    with wave.open(str(path)) as recording:
        return recording.getnframes(), recording.getframerate()
