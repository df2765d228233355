"""A recording's bytes to mono samples: WAV, and whatever else libsndfile reads (FLAC, Ogg)."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile
from numpy.typing import NDArray

from service.errors import InvalidSequenceError

UNKNOWN_SIZE = 0xFFFFFFFF  # what a program writes that streams a WAV through a pipe


def read_recording(body: bytes, max_duration_s: float) -> tuple[NDArray[np.float32], int]:
    """Decode a recording and mix its channels down.

    Args:
        body: The file's bytes; WAV of any sample format, FLAC or Ogg.
        max_duration_s: Longer recordings are refused before they are decoded.
    Returns:
        samples: float32 (samples,), mono, full scale 1.0.
        sample_rate_hz: As the file says.
    Raises:
        InvalidSequenceError: Empty, truncated, too long, or not a recording.
    """
    if not body:
        raise InvalidSequenceError("the recording is empty (0 bytes)", "audio")
    if body[:4] == b"RIFF" and len(body) >= 8:
        (size,) = struct.unpack_from("<I", body, 4)
        if size not in (0, UNKNOWN_SIZE) and size + 8 > len(body):
            raise InvalidSequenceError(
                f"the WAV is truncated: its header says {size + 8} bytes, {len(body)} came", "audio"
            )
    try:
        with soundfile.SoundFile(io.BytesIO(body)) as recording:
            sample_rate_hz = int(recording.samplerate)
            if recording.frames > max_duration_s * sample_rate_hz:
                raise InvalidSequenceError(
                    f"the recording lasts {recording.frames / sample_rate_hz:.2f} s, "
                    f"the limit is {max_duration_s:.2f} s",
                    "audio",
                )
            channels = recording.read(dtype="float32", always_2d=True)
            num_announced = int(recording.frames)
    except (soundfile.SoundFileError, RuntimeError) as error:
        reason = getattr(error, "error_string", error)  # without the name of our own buffer
        raise InvalidSequenceError(
            f"not a recording that can be read (WAV, FLAC or Ogg): {reason}", "audio"
        ) from error
    if not num_announced:
        raise InvalidSequenceError("the recording has no samples", "audio")
    if len(channels) < num_announced:  # libsndfile decodes what is there and says nothing
        raise InvalidSequenceError(
            f"the recording is truncated: its header says {num_announced} samples, "
            f"{len(channels)} came",
            "audio",
        )
    with np.errstate(over="ignore", invalid="ignore"):  # the frames refuse what is not finite
        samples: NDArray[np.float32] = channels.mean(axis=1, dtype=np.float32)
    return samples, sample_rate_hz
