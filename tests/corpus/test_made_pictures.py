"""Kinds of pictures that the corpus lacks, made in code and composed by the command like those of the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame

from owtmix.geometry import Size
from tests.corpus import checks, rooms
from tests.corpus.reference import read_film
from tests.corpus.table import Row, Video
from tests.media.pictures import from_planes, numbered, steady, write_film

SIZE: Final = Size(128, 96)
TIMES_MS: Final = steady(25)
FRAME_S: Final = 0.1

QUARTERS: Final = {"clockwise": (0, 1, -1, 0, 3, False), "mirrored": (-1, 0, 0, 1, 0, True)}
"""The four numbers of a display matrix, the quarters to turn counterclockwise, and whether to mirror then."""

CUT: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "h264.mkv": ("libx264", {"bf": "0", "sc_threshold": "0"}),
    "h264.mp4": ("libx264", {"bf": "0", "sc_threshold": "0"}),
    "h265.mkv": ("libx265", {"x265-params": "scenecut=0:bframes=0:open-gop=0:log-level=none"}),
    "vp9.webm": ("libvpx-vp9", {}),
    "vp8.webm": ("libvpx", {}),
}
"""Encoders whose second key frame is the eleventh picture."""


def made(path: Path, times_ms: Sequence[int] = TIMES_MS, **traits: Any) -> Row:
    """The row of a film whose pictures are presented at ``times_ms``."""
    first_s, last_s = min(times_ms) / 1000, max(times_ms) / 1000
    video = Video("", (str(SIZE),), first_s, last_s, last_s + FRAME_S, len(times_ms), **traits)
    return Row(str(path), "", video)


def film(path: Path, times_ms: Sequence[int] = TIMES_MS, **options: Any) -> Path:
    return write_film(path, times_ms, **{"size": SIZE, "gop": 10, **options})


def headless(path: Path, source: Path, dropped: int) -> Path:
    """``source`` without its first packets, among them the first key frame."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as cut:
        stream = whole.streams.video[0]
        written = cut.add_stream_from_template(stream)
        for number, packet in enumerate(whole.demux(stream)):
            if number >= dropped and packet.size:
                packet.stream = written
                cut.mux(packet)
    return path


def compose(rows: Sequence[Row], folder: Path) -> list[str]:
    """What is wrong with a room of ``rows``."""
    room = rooms.compose(rooms.invite(rows, limit_s=200), (), folder)
    tiles = [checks.Tile(guest, room, rooms.tile(number)) for number, guest in enumerate(room.guests, 1)]
    problems = [*checks.check_left_out(room, ()), *checks.check_neighbour(room)]
    for tile in tiles:
        problems += tile.check()
        lag_s = tile.lag_s()
        if lag_s is None or abs(lag_s) > 0.02:
            problems.append(f"{tile.guest.row.path.name}: is late by {lag_s} s")
    return problems


def test_formats_codecs_and_turns(tmp_path: Path) -> None:
    """Every way of storing the same numbered pictures shows them in their tile, at their time."""
    files = tmp_path / "made"
    files.mkdir()
    rows = [
        made(film(files / f"{pixels}.mp4", pixel_format=pixels))
        for pixels in ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
    ]
    rows += [
        made(film(files / f"{encoder}.mp4", encoder=encoder)) for encoder in ("libx265", "libsvtav1", "libvpx-vp9")
    ]
    rows.append(made(film(files / "odd.mp4", pixel_format="yuv444p", size=Size(97, 63))))
    rows.append(made(film(files / "b-frames.mp4", options={"bf": "3", "b-pyramid": "normal"})))
    rows.append(made(film(files / "b-frames.mkv", encoder="libx264", options={"bf": "3"})))
    for name, (a, b, c, d, turn, mirrored) in QUARTERS.items():
        matrix = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        rows.append(made(film(files / f"{name}.mp4", display_matrix=matrix), turn=turn, mirrored=mirrored))
    problems = compose(rows, tmp_path)
    assert not problems, "\n".join(problems)


def test_times_that_go_back_start_late_or_leave_a_key_frame_out(tmp_path: Path) -> None:
    files = tmp_path / "made"
    files.mkdir()
    back_ms = (*steady(8), 650, 720, *steady(16, first_ms=800))
    late_ms = steady(20, first_ms=60_000)
    rows = [
        made(film(files / "back.webm", back_ms), back_ms),
        made(film(files / "late.webm", late_ms), late_ms),
        made(film(files / "late.mp4", late_ms), late_ms),
    ]
    for name, (encoder, options) in CUT.items():
        whole = film(files / f"whole-{name}", encoder=encoder, options=options)
        rows.append(made(headless(files / name, whole, 3), TIMES_MS[10:]))
    problems = compose(rows, tmp_path)
    assert not problems, "\n".join(problems)
