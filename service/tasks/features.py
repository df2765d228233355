"""Log-mel frames of a recording, computed alike in training and serving (NumPy only).

Any sample rate goes in without resampling: windows and hops are times, and the mel filters are
laid over whatever frequencies the recording's own Fourier transform has.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service.errors import InvalidSequenceError

MIN_SAMPLE_RATE_HZ = 4_000
MAX_SAMPLE_RATE_HZ = 192_000
MAX_LEVEL = 1e10  # over full scale, 1.0: integers of 32 bits pass unscaled, powers stay in float32


class LogMel(BaseModel):
    """The settings of the frames; a bundle's manifest carries them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["log_mel"] = "log_mel"
    num_mels: int = Field(40, ge=1, le=256, description="mel bands, the features of a step")
    window_ms: float = Field(32.0, gt=0, description="length of the Hann window")
    hop_ms: float = Field(20.0, gt=0, description="time from one frame to the next")
    low_hz: float = Field(60.0, ge=0, description="lower edge of the first band")
    high_hz: float = Field(4_000.0, gt=0, description="upper edge of the last band")
    floor: float = Field(1e-8, gt=0, description="added to each band's power before the logarithm")

    def feature_names(self) -> list[str]:
        """One name a band."""
        return [f"mel_{band}" for band in range(self.num_mels)]

    def num_frames(self, num_samples: int, sample_rate_hz: int) -> int:
        """How many frames a recording of this size gives (at least 1)."""
        return 1 + int(num_samples * 1_000 / (sample_rate_hz * self.hop_ms))

    def frames(self, samples: NDArray[np.float32], sample_rate_hz: int) -> NDArray[np.float32]:
        """Log power in mel bands, a frame each hop, centred on its time.

        Args:
            samples: float32 (samples,), mono, full scale 1.0.
            sample_rate_hz: 4,000 to 192,000.
        Returns:
            float32 (time, num_mels).
        Raises:
            InvalidSequenceError: No samples, one not finite or too loud, or a rate out of range.
        """
        if not MIN_SAMPLE_RATE_HZ <= sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
            raise InvalidSequenceError(
                f"sample rate {sample_rate_hz} Hz is outside "
                f"{MIN_SAMPLE_RATE_HZ}..{MAX_SAMPLE_RATE_HZ} Hz",
                "audio",
            )
        if not len(samples):
            raise InvalidSequenceError("the recording has no samples", "audio")
        if not np.isfinite(samples).all():
            raise InvalidSequenceError("the recording holds NaN or infinite samples", "audio")
        if (level := float(np.abs(samples).max())) > MAX_LEVEL:
            raise InvalidSequenceError(
                f"the recording is too loud: {level:.3g}, full scale is 1", "audio"
            )
        window, filters = _window_and_filters(self, sample_rate_hz)
        half = len(window) // 2
        padded = np.pad(samples.astype(np.float32, copy=False), (half, len(window)))
        num_frames = self.num_frames(len(samples), sample_rate_hz)
        starts = np.rint(np.arange(num_frames) * (sample_rate_hz * self.hop_ms / 1_000)).astype(int)
        slices = np.lib.stride_tricks.sliding_window_view(padded, len(window))[starts]
        spectrum = np.fft.rfft(slices * window, n=_fft_size(len(window)), axis=1)
        power = spectrum.real**2 + spectrum.imag**2  # (time, bins)
        logs: NDArray[np.float32] = np.log(power @ filters + self.floor).astype(np.float32)
        return logs


def _fft_size(window_length: int) -> int:
    """Twice the window, rounded up to a power of two: narrow bands keep a bin of their own."""
    return 1 << (2 * window_length - 1).bit_length()


def _to_mel(hz: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """O'Shaughnessy, Speech Communication, 1987: m = 2595 log10(1 + f / 700)."""
    mels: NDArray[np.float64] = 2595.0 * np.log10(1.0 + hz / 700.0)
    return mels


@lru_cache(maxsize=32)
def _window_and_filters(
    settings: LogMel, sample_rate_hz: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A Hann window (window,) and triangular mel filters (bins, num_mels), both at this rate.

    The window is scaled so that a tone has the same power at any sample rate.
    """
    length = max(2, round(sample_rate_hz * settings.window_ms / 1_000))
    window = np.hanning(length + 1)[:-1]
    window /= window.sum()
    frequencies = np.fft.rfftfreq(_fft_size(length), 1.0 / sample_rate_hz)
    edges = np.linspace(
        _to_mel(np.array(settings.low_hz)),
        _to_mel(np.array(settings.high_hz)),
        settings.num_mels + 2,
    )
    mels = _to_mel(frequencies)[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))  # (bins, num_mels)
    # bins lie evenly in Hz, bands do not: a band's power is the mean over its own bins
    filters /= np.maximum(filters.sum(axis=0), 1e-12)
    return window.astype(np.float32), filters.astype(np.float32)
