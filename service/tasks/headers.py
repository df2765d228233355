"""What a recording's header says of its length, made true: what writes to a pipe can't go back.

Such programs leave a size open (0; nearly 2 GiB, or 4), or the one of what they wrote first. Then
what came is what there is. A size that was meant, and of which less came, is a truncated file.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from service.errors import InvalidSequenceError

WAVES = (b"RIFF", b"RF64", b"BW64")
OPEN_SIZE = 0x7FFF0000
"""From here on a size is none: sox writes 0x7FFFF000 or a little less, arecord 0x80000000, ffmpeg
0xFFFFFFFF."""
ELSEWHERE = 0xFFFFFFFF  # in RF64 and BW64: the size is in their chunk `ds64`


class Data(NamedTuple):
    """The samples of a WAV."""

    start: int
    """Their first byte."""
    num_bytes: int
    """As the header says; 0 and large ones may be open."""


def with_true_sizes(body: bytes) -> bytes:
    """A WAV, RF64 or BW64 whose header says how long it really is; as it came, if it does already.

    Raises:
        InvalidSequenceError: It is truncated.
    """
    form_bytes = struct.unpack_from("<I", body, 4)[0] if len(body) >= 8 else 0
    if body[:4] == b"RIFF" and len(body) < form_bytes + 8 and not _is_open(form_bytes):
        raise _truncated(form_bytes + 8, len(body))
    data = _find_data(body)
    if data is None:
        return body  # whoever decodes it says why
    came = len(body) - data.start
    if data.num_bytes > came:
        if not _is_open(data.num_bytes):
            raise _truncated(data.start + data.num_bytes, len(body))
    elif _ends_with_chunks(body, data.start + data.num_bytes):
        came = data.num_bytes
    if body[:4] == b"RIFF" and came == data.num_bytes:
        return body
    head = bytearray(body[: data.start])
    struct.pack_into("<4sI", head, 0, b"RIFF", min(len(body) - 8, ELSEWHERE))
    struct.pack_into("<I", head, data.start - 4, min(came, ELSEWHERE))
    if head[12:16] == b"ds64":
        head[12:16] = b"JUNK"
    return bytes(head) + body[data.start :]


def check_pages(body: bytes) -> None:
    """Hold an Ogg's last page against what came of it: decoders pass over a part of a page.

    Raises:
        InvalidSequenceError: It is truncated.
    """
    place = 0
    while body[place : place + 4] == b"OggS":
        num_segments = body[place + 26] if place + 26 < len(body) else 0
        segments = body[place + 27 : place + 27 + num_segments]
        place += 27 + num_segments + sum(segments)
    if place > len(body):
        raise InvalidSequenceError(
            f"the Ogg is truncated: its last page ends at byte {place}, {len(body)} came", "audio"
        )


def _find_data(body: bytes) -> Data | None:
    """Where the samples are; None if no chunk has them."""
    large = 0
    place = 12
    while place + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, place)
        start = place + 8
        if name == b"data":
            return Data(start, large if size == ELSEWHERE and body[:4] != b"RIFF" else size)
        if name == b"ds64" and size >= 16 and start + 16 <= len(body):
            (large,) = struct.unpack_from("<Q", body, start + 8)
        place = start + size + size % 2
    return None


def _ends_with_chunks(body: bytes, place: int) -> bool:
    """Whether whole chunks, or none, are all that follows."""
    place += place % 2 and place < len(body)
    while place + 8 <= len(body):
        size = struct.unpack_from("<I", body, place + 4)[0]
        place += 8 + size + size % 2
    return place - len(body) in (0, 1)  # what evens the last one may be left out


def _is_open(num_bytes: int) -> bool:
    return num_bytes == 0 or num_bytes >= OPEN_SIZE


def _truncated(said: int, came: int) -> InvalidSequenceError:
    return InvalidSequenceError(
        f"the WAV is truncated: its header says {said} bytes, {came} came", "audio"
    )
