"""Timestamps: cameras that pause for minutes, and wrong durations in headers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from owtmix.media.probe import probe
from tests.corpus import checks, rooms
from tests.corpus.row import MEDIA, Row, Video
from tests.corpus.table import needs_media
from tests.media.pictures import steady, write_film


def test_a_camera_whose_pictures_are_minutes_apart(tmp_path: Path) -> None:
    """The placeholder is shown from 0.5 s after the last picture until the next one."""
    files = tmp_path / "made"
    files.mkdir()
    times_ms = (*steady(20), *steady(15, first_ms=130_000))
    rows = []
    for name in ("apart.webm", "apart.mp4"):
        path = write_film(files / name, times_ms)
        gaps = ((1.9, 130.0),)
        rows.append(Row(str(path), "", Video("", ("64x48",), 0, 131.4, 131.5, len(times_ms), gaps=gaps)))
    room = rooms.compose(rooms.invite(rows, limit_s=200), (), tmp_path)
    tiles = [checks.Tile(guest, room, rooms.tile(number)) for number, guest in enumerate(room.guests, 1)]
    problems = [*checks.check_neighbour(room), *(problem for tile in tiles for problem in tile.check())]
    assert not problems, "\n".join(problems)


@needs_media
def test_a_header_that_claims_hours_adds_nothing(tmp_path: Path) -> None:
    """Durations in boxes are ignored: packets decide."""
    name = "mp4ff__v300_multiple_segments.mp4"
    data = (MEDIA / name).read_bytes()
    mvhd = data.index(b"mvhd")
    version = data[mvhd + 4]
    assert version == 0
    claimed = bytearray(data)
    claimed[mvhd + 20 : mvhd + 24] = (0xFFFFFFF0).to_bytes(4, "big")
    (tmp_path / "claims.mp4").write_bytes(claimed)
    honest, boastful = probe(MEDIA / name), probe(tmp_path / "claims.mp4")
    assert honest == boastful
    assert honest.video
    assert honest.video.span.end < Fraction(9)
