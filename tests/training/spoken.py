"""Recordings of an alphabet of tones, with transcripts: what a tiny model learns in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

TONES_HZ = {"a": 400.0, "b": 900.0, "é": 1_700.0}
RATES_HZ = (8_000, 16_000)


def speak(path: Path, text: str, rate_hz: int, channels: int = 1, seed: int = 0) -> Path:
    """A tone of about 0.1 s a letter, a pause for a space, in a little noise."""
    random = np.random.default_rng(seed)
    parts = [np.zeros(int(rate_hz * random.uniform(0.05, 0.1)))]
    for character in text:
        if character == " ":
            parts.append(np.zeros(int(rate_hz * 0.16)))
            continue
        times = np.arange(int(rate_hz * random.uniform(0.08, 0.12))) / rate_hz
        parts.append(0.3 * np.sin(2 * np.pi * TONES_HZ[character] * times))
        parts.append(np.zeros(int(rate_hz * 0.04)))
    parts.append(np.zeros(int(rate_hz * 0.1)))
    samples = np.concatenate(parts)
    samples += random.normal(0, 0.003, len(samples))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate_hz)
    return path


def write_spoken(folder: Path, count: int = 96) -> Path:
    """A table of files, transcripts and speakers: one or two words of one to three letters."""
    lines = ["file,transcript,speaker"]
    for seed in range(count):
        random = np.random.default_rng(1_000 + seed)
        words = [
            "".join(random.choice(list(TONES_HZ), random.integers(1, 4)))
            for _ in range(random.integers(1, 3))
        ]
        text = " ".join(words)
        speak(folder / "all" / f"{seed}.wav", text, RATES_HZ[seed % 2], seed=seed)
        lines.append(f"all/{seed}.wav,{text},speaker-{seed % 8}")
    table = folder / "spoken.csv"
    table.write_text("\n".join(lines) + "\n")
    return table
