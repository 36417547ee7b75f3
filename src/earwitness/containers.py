"""What sound files hold beside what the decoder reads of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

_UNFINISHED = 0x7FFFF000  # bytes; about what sox and arecord write in a header before the length
_FEW = 0.25  # s; encoders add less to the ends of an MP3
_SCAN = 1 << 20  # bytes of an MP3 that are searched for the next frame
_PAGE = 27  # bytes before the table of an Ogg page
_LAST, _FIRST = 0x04, 0x02  # flags of Ogg pages
_KBITS = {  # of layer III, by the index in the header
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2 and 2.5
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz


def is_cut_off(path: Path) -> bool:
    """Return whether a WAV is shorter than its header says, or an Ogg stream has no last page."""
    with path.open("rb") as file:
        head = file.read(8)
        size = path.stat().st_size
        if head[:4] == b"RIFF":
            promised = int.from_bytes(head[4:8], "little") + 8
            return size + 1 < promised < _UNFINISHED  # the last byte may be padding
        if head[:4] == b"OggS":
            file.seek(max(0, size - 65536 - 282))
            tail = file.read()
            page = tail.rfind(b"OggS")
            if page < 0 or len(tail) < page + _PAGE:
                return True
            table = tail[page + _PAGE : page + _PAGE + tail[page + 26]]
            whole = len(tail) >= page + _PAGE + tail[page + 26] + sum(table)
            return not (whole and tail[page + 5] & _LAST)
    return False


def is_estimated(path: Path) -> bool:
    """Return whether a file is an MP3 whose length is estimated from its first frames."""
    with path.open("rb") as file:
        if not _may_be_mp3(file):
            return False
        with closing(mmap(file.fileno(), 0, access=ACCESS_READ)) as data:
            at, size, _ = next(_mp3_frames(data), (0, 0, 0.0))
            return size > 0 and not _says_length(data, at)


def not_decoded(path: Path, seconds: float) -> str:
    """Return a note if the decoder, which finds ``seconds`` in a file, leaves out a part of it.

    Of an MP3, it believes the header or, without a length there, the first frames; of Ogg files
    that were joined it reads the first one.
    """
    with path.open("rb") as file:
        count = _ogg_streams(file)
        if count > 1:
            return (
                f"only the first of {count} Ogg files joined into one was read ({seconds:.2f} s); "
                "convert the file to WAV or FLAC"
            )
        if not _may_be_mp3(file):
            return ""
        with closing(mmap(file.fileno(), 0, access=ACCESS_READ)) as data:
            frames = _mp3_frames(data)
            length = sum(length for at, _, length in frames if not _says_length(data, at))
    if length <= seconds + _FEW:
        return ""
    return (
        f"only the first {seconds:.2f} of {length:.2f} s were read: the length in the MP3's header "
        "is wrong or missing; convert the file to WAV or FLAC"
    )


def bytes_of_samples(path: Path) -> int:
    """Return how many bytes follow the header of a WAV that says it holds none."""
    with path.open("rb") as file:
        head = file.read(1 << 12)
    at = head.find(b"data")
    if head[:4] != b"RIFF" or at < 0 or any(head[at + 4 : at + 8]):
        return 0
    return path.stat().st_size - at - 8


def _ogg_streams(file: BinaryIO) -> int:
    """Return how many streams follow one another in an Ogg file."""
    count, starts = 0, False
    while len(page := file.read(_PAGE)) == _PAGE and page[:4] == b"OggS":
        first = bool(page[5] & _FIRST)  # streams that lie beside one another start together
        count += first and not starts
        starts = first
        file.seek(sum(file.read(page[26])), 1)
    return count


def _may_be_mp3(file: BinaryIO) -> bool:
    file.seek(0)
    head = file.read(3)
    return head == b"ID3" or head[:1] == b"\xff"


def _mp3_frames(data: mmap) -> Iterator[tuple[int, int, float]]:
    """Yield place, bytes and seconds of the frames of layer III in a file."""
    at, begun = 0, False
    while at + 4 <= len(data):
        if data[at : at + 3] == b"ID3" and at + 10 <= len(data):
            size = data[at + 6 : at + 10]
            at += 10 + sum((byte & 0x7F) << 7 * (3 - k) for k, byte in enumerate(size))
            continue
        frame = _mp3_frame(data, at)
        if frame is None or (not begun and _mp3_frame(data, at + frame[0]) is None):
            at = data.find(b"\xff", at + 1, at + 1 + _SCAN)
            if at < 0:
                return
            continue
        begun = True
        yield at, *frame
        at += frame[0]


def _says_length(data: mmap, at: int) -> bool:
    """Return whether a frame holds no sound but says how many follow."""
    head = data[at : at + 64]
    return any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))


def _mp3_frame(data: mmap, at: int) -> tuple[int, float] | None:
    """Return bytes and seconds of the frame of layer III at a place; None if there is none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return None
    version, bits, rate = data[at + 1] >> 3 & 3, data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return None
    samples, hertz = 1152 if version == 3 else 576, _RATES[version][rate]
    padding = data[at + 2] >> 1 & 1
    return samples // 8 * 1000 * _KBITS[version == 3][bits] // hertz + padding, samples / hertz
