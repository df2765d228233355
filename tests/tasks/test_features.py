"""Log-mel frames against their definition, written out as slow sums in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.errors import InvalidSequenceError
from service.tasks.features import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, LogMel

RATES_HZ = (8_000, 16_000, 44_100, 48_000)
Samples = NDArray[np.float32]


def mel(hz: float) -> float:
    return 2595.0 * math.log10(1.0 + hz / 700.0)


def noise(num_samples: int, seed: int = 0) -> Samples:
    generator = np.random.default_rng(seed)
    return generator.normal(scale=0.1, size=num_samples).astype(np.float32)


def tone(hz: float, rate_hz: int, duration_s: float = 0.2) -> Samples:
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def triangle(hz: float, low: float, middle: float, high: float) -> float:
    """A band's weight at a frequency; the edges are mels."""
    place = mel(hz)
    if low < place <= middle:
        return (place - low) / (middle - low)
    return (high - place) / (high - middle) if middle < place < high else 0.0


def slow_frames(settings: LogMel, samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Each frame: a Hann window around its time, a Fourier sum a bin, a weighted mean a band."""
    length = round(rate_hz * settings.window_ms / 1_000)
    window = np.array([0.5 - 0.5 * math.cos(2 * math.pi * k / length) for k in range(length)])
    window /= window.sum()
    size = 2 ** math.ceil(math.log2(2 * length))
    # no band reaches higher than high_hz, so no bin above it is needed
    bins = range(min(size // 2, math.ceil(settings.high_hz * size / rate_hz)) + 1)
    sums = np.exp(-2j * np.pi * np.outer(bins, np.arange(length)) / size)
    bottom, top = mel(settings.low_hz), mel(settings.high_hz)
    edges = [
        bottom + (top - bottom) * edge / (settings.num_mels + 1)
        for edge in range(settings.num_mels + 2)
    ]
    frames = []
    hop = rate_hz * settings.hop_ms / 1_000
    for frame in range(1 + math.floor(len(samples) / hop)):
        start = round(frame * hop) - length // 2
        heard = [samples[i] if 0 <= i < len(samples) else 0.0 for i in range(start, start + length)]
        power = np.abs(sums @ (window * np.array(heard, dtype=np.float64))) ** 2
        bands = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            shares = np.array([triangle(b * rate_hz / size, low, middle, high) for b in bins])
            bands.append(float(shares @ power) / max(shares.sum(), 1e-12))
        frames.append(bands)
    return np.log(np.array(frames) + settings.floor)


@pytest.mark.parametrize("rate_hz", [*RATES_HZ, 11_025, 4_000])
@pytest.mark.parametrize(
    "settings",
    [LogMel(), LogMel(num_mels=12, window_ms=25, hop_ms=10, low_hz=0, high_hz=3_500, floor=1e-6)],
    ids=["default", "other"],
)
def test_frames_are_those_of_the_definition(settings: LogMel, rate_hz: int) -> None:
    samples = noise(round(0.07 * rate_hz) + 3)
    actual = settings.frames(samples, rate_hz)
    expected = slow_frames(settings, samples, rate_hz)
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.parametrize("hz", [220.0, 700.0, 1_500.0, 3_000.0])
def test_a_tone_sounds_alike_at_every_sample_rate(hz: float) -> None:
    frames = [LogMel().frames(tone(hz, rate), rate)[6] for rate in RATES_HZ]
    assert len({int(frame.argmax()) for frame in frames}) == 1
    peaks = [float(frame.max()) for frame in frames]
    assert max(peaks) - min(peaks) < 0.05


def test_a_tone_peaks_in_the_band_around_it() -> None:
    settings = LogMel()
    edges = np.linspace(mel(settings.low_hz), mel(settings.high_hz), settings.num_mels + 2)
    for band in (5, 20, 39):
        middle_hz = 700.0 * (10 ** (edges[band + 1] / 2595.0) - 1.0)
        frames = settings.frames(tone(middle_hz, 16_000), 16_000)
        assert frames[6].argmax() == band


@settings(max_examples=40, deadline=None)
@given(
    num_samples=st.integers(1, 4_000),
    rate_hz=st.sampled_from(RATES_HZ) | st.integers(MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ),
)
def test_as_many_frames_as_announced_and_all_finite(num_samples: int, rate_hz: int) -> None:
    frames = LogMel().frames(noise(num_samples), rate_hz)
    assert frames.shape == (LogMel().num_frames(num_samples, rate_hz), 40)
    assert np.isfinite(frames).all()


def test_a_second_has_a_frame_each_hop_and_one_more() -> None:
    assert [LogMel(hop_ms=10).num_frames(rate, rate) for rate in RATES_HZ] == [101] * 4
    assert LogMel(hop_ms=10).num_frames(1, 8_000) == 1


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_silence_is_the_floor(rate_hz: int) -> None:
    frames = LogMel(floor=1e-6).frames(np.zeros(rate_hz // 10, np.float32), rate_hz)
    np.testing.assert_allclose(frames, math.log(1e-6), rtol=1e-6)


def test_every_band_has_a_name_of_its_own() -> None:
    assert LogMel(num_mels=3).feature_names() == ["mel_0", "mel_1", "mel_2"]


@pytest.mark.parametrize(
    ("samples", "rate_hz", "message"),
    [
        ([], 8_000, "no samples"),
        ([0.0, math.nan], 8_000, "NaN or infinite"),
        ([math.inf], 8_000, "NaN or infinite"),
        ([3e38], 8_000, "too loud"),
        ([0.0], MIN_SAMPLE_RATE_HZ - 1, "sample rate 3999 Hz"),
        ([0.0], MAX_SAMPLE_RATE_HZ + 1, "sample rate 192001 Hz"),
    ],
)
def test_what_gives_no_frames_is_refused(samples: list[float], rate_hz: int, message: str) -> None:
    with pytest.raises(InvalidSequenceError, match=message) as refusal:
        LogMel().frames(np.array(samples, dtype=np.float32), rate_hz)
    assert refusal.value.field == "audio"
