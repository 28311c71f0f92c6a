"""A room of small films that has everything which makes drawing a part of it alone hard, planned and ready to draw."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.base.ids import StreamId
from owtmix.compositor.base import Canvas, ComposedFrame
from owtmix.compositor.cpu import planes
from owtmix.compositor.factory import make_canvas
from owtmix.compositor.overlays import Overlays
from owtmix.jobfile.index import Recording
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import ClockWatermark, Position, TextWatermark, VideoSpec
from owtmix.media.probe import probe
from owtmix.plan.build import make_plan
from owtmix.plan.device import CPU
from owtmix.plan.media_info import Clip
from owtmix.plan.model import PicturePlan
from owtmix.render.frames import Footage, render_frames
from owtmix.render.results import RenderResult
from owtmix.render.video_track import Material
from tests.media.pictures import steady, write_film, write_sizes
from tests.support.plans import JOB, MIXER, SUBSCRIPTION, index_of, room

FPS: Final = 10
CANVAS: Final = Size(160, 96)
ANNA, BEN, CARL, SCREEN = (StreamId(*who) for who in (("anna", 1), ("ben", 1), ("carl", 1), ("anna", 2)))

Take = tuple[StreamId, int, Path]
"""Whose it is, when it starts in milliseconds, and the file."""


def busy_room(folder: Path) -> Material:
    """Nine seconds of joining and leaving: key frames far apart and near, with and without an index to seek by.

    Ben's clock starts at a minute and his frames are irregular and reordered; Carl's picture changes its size and
    pauses for so long that his card stands in; the screen shows three pictures in all.
    """
    irregular = [ms + ms % 37 for ms in steady(50, fps=13, first_ms=60_000)]
    carl = (*steady(12), *steady(20, first_ms=4800))
    takes = (
        (ANNA, 0, write_film(folder / "anna.webm", steady(88), gop=25)),
        (BEN, 1237, write_film(folder / "ben.mp4", irregular, gop=20, options={"bf": "3"})),
        (CARL, 1500, write_sizes(folder / "carl.webm", (Size(64, 48), carl[:8]), (Size(48, 80), carl[8:]))),
        (SCREEN, 3050, write_film(folder / "screen.webm", (0, 1700, 3100), size=Size(96, 54), muxing={"live": "1"})),
        (BEN, 7400, write_film(folder / "ben-again.webm", steady(16), muxing={"live": "1"})),
    )
    marks = (ClockWatermark(4, 4, 0.8), TextWatermark(90, 70, 0.5, "room"))
    return plan(takes, watermarks=marks)


def plan(takes: Sequence[Take], **mixer: Any) -> Material:
    """``takes`` as a plan for ``CANVAS`` and what it is made from; ``mixer`` are fields of the job's mixer."""
    found = [probe(path) for _, _, path in takes]
    clips = room(
        *(
            Clip(Recording(stream, path.name, Fraction(start_ms, 1000), None), 0, probed.video, probed.audio)
            for (stream, start_ms, path), probed in zip(takes, found, strict=True)
        )
    )
    job = replace(
        JOB,
        video=VideoSpec(CANVAS, FPS, 200, "high"),
        mixer=replace(MIXER, **mixer),
        subscription=replace(SUBSCRIPTION, manual=bool(mixer.get("positions"))),
    )
    return Material(make_plan(job, index_of(clips), clips, PlanSettings()), [path for _, _, path in takes], {})


def placed(*places: tuple[StreamId, Rect]) -> tuple[Position, ...]:
    """Positions for manual mode, back to front."""
    return tuple(Position(stream, rect, z) for z, (stream, rect) in enumerate(places))


def picture_of(material: Material) -> PicturePlan:
    assert material.plan.picture
    return material.plan.picture


def drawing(
    material: Material, frames: range, notes: RenderResult | None = None, canvas: Canvas | None = None
) -> Generator[tuple[int, ComposedFrame]]:
    """Draw ``frames``, one after the other, on ``canvas`` or in main memory."""
    picture = picture_of(material)
    canvas = canvas or make_canvas(picture, CPU)
    decoration = Overlays(picture, material.images, material.plan.epoch_at, material.plan.time_zone)
    footage = Footage(material.plan.sources, material.paths)
    return render_frames(picture, frames, footage, canvas, decoration, RenderResult() if notes is None else notes)


def draw(
    material: Material, frames: range, notes: RenderResult | None = None, canvas: Canvas | None = None
) -> list[bytes]:
    """The pixels of ``frames``, drawn without any other."""
    drawn: list[bytes] = []
    for number, composed in drawing(material, frames, notes, canvas):
        assert number == frames[len(drawn)]
        drawn.append(b"".join(plane.tobytes() for plane in planes(composed.frame)))
        composed.release()
    return drawn


def part(drawn: bytes, rect: Rect) -> bytes:
    """The luma of a part of a drawn frame."""
    rows = (drawn[y * CANVAS.width :] for y in range(rect.y, rect.bottom))
    return b"".join(row[rect.x : rect.right] for row in rows)


MODES: Final[Mapping[str, ResizeMode]] = {mode.name.lower(): mode for mode in ResizeMode}
