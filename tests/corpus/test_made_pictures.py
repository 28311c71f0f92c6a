"""Kinds of pictures that the corpus lacks, generated and composed like those of the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from owtmix.base.geometry import Size
from tests.corpus import checks, rooms
from tests.corpus.row import Row, Video
from tests.media.pictures import Draw, from_planes, steady, write_film

SIZE: Final = Size(128, 96)
TIMES_MS: Final = steady(25)
FRAME_S: Final = 0.1

QUARTERS: Final = {"clockwise": (0, 1, -1, 0, 3, False), "mirrored": (-1, 0, 0, 1, 0, True)}
"""Display matrix (a, b, c, d), quarter turns counterclockwise, and whether to mirror afterwards."""

CUT: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "h264.mkv": ("libx264", {"bf": "0", "sc_threshold": "0"}),
    "h264.mp4": ("libx264", {"bf": "0", "sc_threshold": "0"}),
    "h265.mkv": ("libx265", {"x265-params": "scenecut=0:bframes=0:open-gop=0:log-level=none"}),
    "vp9.webm": ("libvpx-vp9", {}),
    "vp8.webm": ("libvpx", {}),
}
"""Encoders; the second key frame is the eleventh picture."""


PATCHES: Final = {"grey": (128, 128, 128), "skin": (224, 172, 138)}
CODE_TOLERANCE: Final = 2.0
WEIGHTS: Final = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def made(path: Path, times_ms: Sequence[int] = TIMES_MS, *, starts_ms: int | None = None, **traits: Any) -> Row:
    """The row of a film whose pictures are presented at ``times_ms``, and whose packets begin at ``starts_ms``."""
    first_s, last_s = min(times_ms) / 1000, max(times_ms) / 1000
    video = Video("", (str(SIZE),), first_s, last_s, last_s + FRAME_S, len(times_ms), **traits)
    return Row(str(path), "", video, starts_s=None if starts_ms is None else starts_ms / 1000)


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
    """The errors of a room of ``rows``."""
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
    """The same numbered pictures, stored in every way, are shown in their tile at their time."""
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


def test_times_that_decrease_start_late_or_lack_a_key_frame(tmp_path: Path) -> None:
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
        rows.append(made(headless(files / name, whole, 3), TIMES_MS[10:], starts_ms=TIMES_MS[3]))
    problems = compose(rows, tmp_path)
    assert not problems, "\n".join(problems)


def codes(colour: tuple[int, int, int], matrix: str, *, full_range: bool = False) -> tuple[float, float, float]:
    """R, G, B of 0..255 as Y, Cb, Cr."""
    (red, blue), (r, g, b) = WEIGHTS[matrix], colour
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    low, span, chroma = (0, 1, 1) if full_range else (16, 219 / 255, 224 / 255)
    return low + span * y, 128 + chroma * u, 128 + chroma * v


def patched(matrix: str, *, full_range: bool) -> Draw:
    """Draws a picture whose left half is grey and whose right half is skin."""

    def draw(_: int, size: Size) -> VideoFrame:
        left, right = (codes(colour, matrix, full_range=full_range) for colour in PATCHES.values())
        planes = []
        for component, divisor in enumerate((1, 2, 2)):
            plane = np.full((size.height // divisor, size.width // divisor), round(left[component]), np.uint8)
            plane[:, size.width // divisor // 2 :] = round(right[component])
            planes.append(plane)
        return from_planes(*planes, pixel_format="yuvj420p" if full_range else "yuv420p")

    return draw


def test_grey_and_skin_keep_their_colours_whatever_the_sources_are_coded_with(tmp_path: Path) -> None:
    """BT.601 and BT.709, limited and full range; the matrix of untagged pictures depends on their height."""
    files = tmp_path / "made"
    files.mkdir()
    rows = []
    for matrix, size in (("bt601", Size(160, 120)), ("bt709", Size(960, 720))):
        for full_range in (False, True):
            path = files / f"{matrix}-{full_range}.mp4"
            pixels = "yuvj420p" if full_range else "yuv420p"
            draw = patched(matrix, full_range=full_range)
            film(path, steady(5), size=size, draw=draw, pixel_format=pixels, full_range=full_range)
            rows.append(made(path, steady(5)))
    room = rooms.compose(rooms.invite(rows, limit_s=60), (), tmp_path)
    for number, guest in enumerate(room.guests, 1):
        left, top, right, bottom = rooms.tile(number)
        picture = room.pictures[int((guest.end_s - 0.25) * rooms.FPS)]
        middle, centre = (left + right) // 2, (top + bottom) // 2
        for x, colour in zip((middle - 40, middle + 40), PATCHES.values(), strict=True):
            found = [
                plane[centre // d - 8 : centre // d + 8, x // d - 8 : x // d + 8].mean()
                for plane, d in zip(picture, (1, 2, 2), strict=True)
            ]
            assert found == pytest.approx(codes(colour, room.matrix), abs=CODE_TOLERANCE), guest.row.path.name
