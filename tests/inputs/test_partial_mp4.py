"""Which MP4 tells everything in its tables, and what of it is fetched to know."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from owtmix.inputs.partial_mp4 import BLOCK_BYTES, MOST_BOXES, PartialMp4, RangeUnavailable

MEDIA = 4 << 20


def box(kind: bytes, content: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">I4s", len(content) + 8 if length is None else length, kind) + content


FTYP = box(b"ftyp", b"isom" + bytes(4))
MOOV = box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", bytes(1000)))
MDAT = box(b"mdat", bytes(MEDIA))
LARGE_MDAT = struct.pack(">I4sQ", 1, b"mdat", MEDIA + 16) + bytes(MEDIA)

TELLING = {
    "tables first": FTYP + MOOV + MDAT,
    "tables last": FTYP + box(b"free") + MDAT + MOOV,
    "a length of 64 bits": FTYP + LARGE_MDAT + MOOV,
    "to the end": FTYP + MOOV + box(b"mdat", bytes(MEDIA), 0),
    "more behind": FTYP + MDAT + MOOV + box(b"free", bytes(MEDIA)) + box(b"uuid", bytes(20)),
}

NOT_TELLING = {
    "no tables": FTYP + MDAT,
    "no media": FTYP + MOOV + box(b"free", bytes(MEDIA)),
    "fragments": FTYP + MOOV + box(b"moof", bytes(50)) + MDAT,
    "fragments announced": FTYP + box(b"moov", box(b"mvhd", bytes(100)) + box(b"mvex", bytes(8))) + MDAT,
    "fragments behind": FTYP + MOOV + MDAT + box(b"moof", bytes(50)) + box(b"mdat", bytes(50)),
    "two tables": FTYP + MOOV + MDAT + MOOV,
    "cut tables": FTYP + MDAT + MOOV[:-1],
    "cut media": FTYP + MOOV + MDAT[:-1],
    "broken tables": FTYP + box(b"moov", box(b"mvhd", bytes(100), 200)) + MDAT,
    "a box too short": FTYP + MOOV + MDAT + box(b"free", b"", 7),
    "half a header": FTYP + MOOV + MDAT + b"\0\0\0",
    "something else": b"\x1aE\xdf\xa3" + bytes(MEDIA),
    "a web page": b"<!doctype html>" + bytes(MEDIA),
    "too many pieces": FTYP + MOOV + box(b"mdat", bytes(50)) * MOST_BOXES,
    "tables too large": FTYP + box(b"moov", b"", (64 << 20) + 1) + bytes(64 << 20) + MDAT,
}


class Reader:
    """Gives parts of ``data`` and counts them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.given_bytes = 0

    def __call__(self, start: int, length: int) -> bytes:
        self.given_bytes += length
        return self.data[start : start + length]


@pytest.mark.parametrize("kind", TELLING)
def test_whole_tables_and_the_beginning_of_the_media_are_fetched(tmp_path: Path, kind: str) -> None:
    data = TELLING[kind]
    reader = Reader(data)
    excerpt = PartialMp4(tmp_path / "a", len(data), reader)
    assert excerpt.fetch_tables()
    written = (tmp_path / "a").read_bytes()
    assert len(written) == len(data)
    assert all(written[start:end] == data[start:end] for start, end in excerpt.parts)
    assert excerpt.held_bytes == sum(end - start for start, end in excerpt.parts)
    assert excerpt.held_bytes <= reader.given_bytes < 6 * BLOCK_BYTES
    tables, media = data.index(b"moov"), data.index(b"mdat") + 4
    assert any(start <= tables - 4 and tables + len(MOOV) - 4 <= end for start, end in excerpt.parts)
    assert any(start <= media and media + BLOCK_BYTES <= end for start, end in excerpt.parts)


@pytest.mark.parametrize("kind", NOT_TELLING)
def test_others_have_to_be_fetched_whole(tmp_path: Path, kind: str) -> None:
    data = NOT_TELLING[kind]
    reader = Reader(data)
    assert not PartialMp4(tmp_path / "a", len(data), reader).fetch_tables()
    assert reader.given_bytes < MEDIA


@pytest.mark.parametrize("answer", [None, b"", b"short"])
def test_a_store_that_does_not_give_parts(tmp_path: Path, answer: bytes | None) -> None:
    with pytest.raises(RangeUnavailable):
        PartialMp4(tmp_path / "a", 1000, lambda _start, _length: answer).fetch_tables()


def test_what_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    reader = Reader(bytes(4 * BLOCK_BYTES))
    excerpt = PartialMp4(tmp_path / "a", len(reader.data), reader)
    excerpt.fetch(0, 10)
    excerpt.fetch(100, BLOCK_BYTES - 100)
    assert list(excerpt.parts) == [(0, BLOCK_BYTES)]
    assert reader.given_bytes == BLOCK_BYTES
    excerpt.fetch(3 * BLOCK_BYTES + 1, 1)
    excerpt.fetch(2 * BLOCK_BYTES, 1)
    assert [start for start, _ in excerpt.parts] == [0, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES + 1]
    excerpt.fetch(BLOCK_BYTES, 1)
    assert [start for start, _ in excerpt.parts] == [0, 3 * BLOCK_BYTES + 1]
