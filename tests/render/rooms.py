"""Rooms of small films, planned and ready to be rendered; one has all that makes rendering a part of it alone hard."""

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
from owtmix.jobfile.index import Recording
from owtmix.jobfile.settings import PlanSettings
from owtmix.jobfile.spec import ClockWatermark, Position, TextWatermark, VideoSpec
from owtmix.media.probe import probe
from owtmix.plan.build import make_plan
from owtmix.plan.media_info import Clip
from owtmix.plan.model import RenderPlan
from owtmix.plan.voice import Voice
from owtmix.render.context import RenderContext
from owtmix.render.frames import Decoding, render_frames
from owtmix.render.results import RenderResult
from tests.media.pictures import steady, write_film, write_sizes
from tests.support.plans import JOB, MIXER, SUBSCRIPTION, index_of, room
from tests.support.sources import file_sources

FPS: Final = 10
CANVAS: Final = Size(160, 96)
ANNA, BEN, CARL, SCREEN = (StreamId(*who) for who in (("anna", 1), ("ben", 1), ("carl", 1), ("anna", 2)))

Take = tuple[StreamId, int, Path]
"""Whose it is, when it starts in milliseconds, and the file."""


def busy_room(folder: Path, **mixer: Any) -> RenderContext:
    """Nine seconds of joining and leaving: key frames far apart and near, with and without an index to seek by.

    Ben's clock starts at a minute and his frames are irregular and reordered; Carl's picture changes its size and
    pauses for so long that his placeholder stands in; the screen shows three pictures in all. ``mixer`` is as in
    ``context_of``.
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
    return context_of(takes, watermarks=marks, **mixer)


def context_of(takes: Sequence[Take], **mixer: Any) -> RenderContext:
    """``takes`` planned for ``CANVAS``, with their files; ``mixer`` are fields of the job's mixer, and ``voices``."""
    found = [probe(path) for _, _, path in takes]
    clips = room(
        *(
            Clip(
                Recording(stream, path.name, Fraction(start_ms, 1000), None),
                0,
                probed.video,
                probed.sounds,
                probed.start_s,
            )
            for (stream, start_ms, path), probed in zip(takes, found, strict=True)
        )
    )
    plan = plan_of(clips, **mixer)
    return RenderContext(plan, file_sources(plan, [path for _, _, path in takes]), {})


def plan_of(clips: Sequence[Clip], *, voices: Mapping[int, Voice] | None = None, **mixer: Any) -> RenderPlan:
    """``clips`` planned for ``CANVAS``; ``voices`` are those of their sources."""
    job = replace(
        JOB,
        video=VideoSpec(CANVAS, FPS, 200, "high"),
        mixer=replace(MIXER, **mixer),
        subscription=replace(SUBSCRIPTION, manual=bool(mixer.get("positions"))),
    )
    return make_plan(job, index_of(clips), clips, PlanSettings(), voices=voices)


def placed(*places: tuple[StreamId, Rect]) -> tuple[Position, ...]:
    """Positions for manual mode, back to front."""
    return tuple(Position(stream, rect, z) for z, (stream, rect) in enumerate(places))


def rendering(
    context: RenderContext, frames: range, result: RenderResult | None = None, canvas: Canvas | None = None
) -> Generator[tuple[int, ComposedFrame]]:
    """Render ``frames``, one after the other, on ``canvas`` or in main memory."""
    return render_frames(
        context.picture,
        frames,
        Decoding(context.sources),
        canvas or make_canvas(context.picture),
        context.overlays(),
        RenderResult() if result is None else result,
    )


def render(
    context: RenderContext, frames: range, result: RenderResult | None = None, canvas: Canvas | None = None
) -> list[bytes]:
    """The pixels of ``frames``, rendered without any other."""
    rendered: list[bytes] = []
    for number, composed in rendering(context, frames, result, canvas):
        assert number == frames[len(rendered)]
        rendered.append(b"".join(plane.tobytes() for plane in planes(composed.frame)))
        composed.release()
    return rendered


def part(rendered: bytes, rect: Rect) -> bytes:
    """The luma of a part of a rendered frame."""
    rows = (rendered[y * CANVAS.width :] for y in range(rect.y, rect.bottom))
    return b"".join(row[rect.x : rect.right] for row in rows)


MODES: Final[Mapping[str, ResizeMode]] = {mode.name.lower(): mode for mode in ResizeMode}
