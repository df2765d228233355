"""Recordings for tests: the committed examples, all of the official test split."""

from __future__ import annotations

from pathlib import Path

from training.data.frames.fsdd import Recording

EXAMPLES = Path(__file__).parents[2] / "examples"


def example_recordings(added_to_index: int = 0) -> list[Recording]:
    """The examples, under an index so much higher: from 5 on it is not of the test split."""
    found = []
    for path in sorted(EXAMPLES.glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        body = path.read_bytes()
        found.append(Recording(int(digit), speaker, int(index) + added_to_index, body))
    return found


def recordings_of_all_parts() -> list[Recording]:
    """Each example three times: to learn from, to validate on and to test on."""
    return [item for added in (0, 5, 10) for item in example_recordings(added)]
