#!/usr/bin/env bash
# A WAV that Python's wave module writes to a pipe in chunks is read by soundfile up to the first chunk, without a word.
#
# Versions: Python 3.11's wave, soundfile 0.14.0 (libsndfile 1.2.2), numpy 2.4.6.
# One would guess: a writer that can't go back writes a size that says "unknown" (0 or the largest, as sox, arecord and
#   ffmpeg do), or refuses; a reader then takes what came, or complains.
# What happens: at the first writeframesraw the header gets that chunk's length, and it is never corrected (close() raises, but by
#   then all samples are sent). The file has all samples, the header tells of some: soundfile gives these and says nothing. Here 500 of 3,500.
# Whom it hurts: who streams a microphone or a TTS through wave into a speech service: all but the first moments of an
#   utterance are dropped, and the transcript is merely short.
# Fails if the header comes to say otherwise, or soundfile to read on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import os
import struct
import threading
import wave

import numpy as np
import soundfile

samples = (np.sin(np.arange(3_500) * 0.1) * 10_000).astype(np.int16)
reading, writing = os.pipe()


def write():
    with os.fdopen(writing, "wb") as pipe:
        file = wave.open(pipe, "wb")
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        for start in range(0, len(samples), 500):
            file.writeframesraw(samples[start : start + 500].tobytes())
        try:
            file.close()
        except OSError as error:  # only now, when all samples are on their way
            print("close():", error)


thread = threading.Thread(target=write)
thread.start()
with os.fdopen(reading, "rb") as pipe:
    body = pipe.read()
thread.join()
size = struct.unpack("<I", body[40:44])[0]
found, rate = soundfile.read(io.BytesIO(body))
print(f"samples sent: {(len(body) - 44) // 2}, by the header: {size // 2}, read by soundfile: {len(found)}")
assert (len(body) - 44) // 2 == len(samples) and size == 1_000 and len(found) == 500
PYTHON
