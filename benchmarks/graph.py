"""FFmpeg's filter graphs for a plan: what is shown where from when to when, as people would script it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

from owtmix.base.geometry import Rect, fit
from owtmix.base.time import FrameClock
from owtmix.plan.media_info import VideoTrack
from owtmix.plan.model import Picture, RenderPlan, Source

ROUNDING_S: Final = Fraction(1, 10_000)
HELD: Final = "tpad=stop_mode=clone:stop=-1"
"""A last frame stays. ``overlay`` could hold it as well, but goes on working for sources that have ended."""
LEAD_S: Final = Fraction(1, 5)
"""A recording is opened this much before an interval begins, for the frame that is on screen then."""
SPARSE_LEAD_S: Final = Fraction(6, 5)
"""The same for one with few frames, where none of its known gaps is longer."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A source shown in one tile for a range of output frames. File time plus ``offset_s`` is output time."""

    source: int
    tile: Rect
    frames: range
    offset_s: Fraction


def placements(picture: Picture, within: range | None = None) -> list[Placement]:
    """All that is shown, scene by scene, from back to front; a tile that stays is one placement."""
    whole = within or range(picture.frames)
    found: list[Placement] = []
    open_: dict[tuple[int, Rect], int] = {}
    for scene in picture.scenes:
        for tile in scene.tiles:
            for shot in picture.shots[tile.stream]:
                start, end = max(scene.span.start, shot.span.start), min(scene.span.end, shot.span.end)
                frames = _common(_frames(picture.clock, start, end), whole)
                if shot.source is None or not frames:
                    continue
                key = shot.source, tile.rect
                before = open_.get(key)
                if before is not None and found[before].frames.stop == frames.start:
                    found[before] = replace(found[before], frames=range(found[before].frames.start, frames.stop))
                else:
                    open_[key] = len(found)
                    found.append(Placement(shot.source, tile.rect, frames, shot.offset_s))
    return found


def intervals(picture: Picture) -> list[range]:
    """The output frames of each layout."""
    spans = [_frames(picture.clock, scene.span.start, scene.span.end) for scene in picture.scenes]
    return [frames for span in spans if (frames := _common(span, range(picture.frames)))]


def file_start(source: Source) -> Fraction:
    """When the file presents something first; FFmpeg's command counts from there."""
    return min(track.span.start for track in (source.video, source.audio) if track)


def whole_graph(plan: RenderPlan, inputs: Sequence[int]) -> str:
    """One graph for the whole picture, ending in ``[picture]``; ``inputs`` are the sources that are its inputs.

    Each source is scaled once a frame, to the size it has at that time, and laid over the canvas where it is then.
    """
    picture = plan.picture
    assert picture
    shown = placements(picture)
    if all(placement.frames == range(picture.frames) for placement in shown):
        shifted = [(inputs.index(p.source), p.offset_s + file_start(plan.sources[p.source])) for p in shown]
        return _stacked(plan, shown, picture.frames, shifted)
    chains = []
    base = "canvas"
    canvas, fps = picture.canvas, picture.clock.fps
    length_s = picture.clock.time(picture.frames)
    chains.append(f"color=black:{canvas}:{fps}:{float(length_s):.6f},format=yuv420p[{base}]")
    for number, source in enumerate(inputs):
        own = [placement for placement in shown if placement.source == source]
        if not own:
            continue
        targets = [target(plan, placement) for placement in own]
        width, height, x, y = (
            _stepped([(p.frames, getattr(rect, side)) for p, (_, rect) in zip(own, targets, strict=True)], fps)
            for side in ("width", "height", "x", "y")
        )
        shift = own[0].offset_s + file_start(plan.sources[source])
        first, last = own[0].frames.start, own[-1].frames.stop
        # No format filter may follow: it would scale every frame to the size of the first.
        resize = f"scale=w='{width}':h='{height}':eval=frame:flags={_kernel(plan, own[0])}"
        chains.append(
            f"[{number}:v]{_shifted(shift)},fps={fps}:round=up,{HELD},"
            f"trim=start_pts={first}:end_pts={last},{_crop(plan, own[0])}{resize}[s{source}]"
        )
        enabled = "+".join(f"between(n,{p.frames.start},{p.frames.stop - 1})" for p in _joined(own))
        chains.append(f"[{base}][s{source}]overlay=x='{x}':y='{y}':eof_action=pass:enable='{enabled}'[o{source}]")
        base = f"o{source}"
    return ";\n".join([*chains, f"[{base}]null[picture]"])


def lead_s(track: VideoTrack, from_s: Fraction) -> Fraction:
    """How much before ``from_s`` (file time) a file is to be opened for what it shows then."""
    held = (from_s - gap.start + ROUNDING_S for gap in track.gaps if gap.start < from_s <= gap.end)
    return max(held, default=SPARSE_LEAD_S if track.gaps else LEAD_S)


def interval_graph(plan: RenderPlan, frames: range, leads_s: Sequence[Fraction]) -> str:
    """A graph for one layout, ending in ``[picture]``; its inputs are what is shown, in that order.

    Input ``i`` begins ``leads_s[i]`` before the first frame.
    """
    picture = plan.picture
    assert picture
    return _stacked(plan, placements(picture, frames), len(frames), list(enumerate(-lead_s for lead_s in leads_s)))


def sound_graph(plan: RenderPlan, inputs: Sequence[int]) -> str:
    """A graph that mixes all sounds, ending in ``[sound]``."""
    assert plan.sound
    chains, labels = [], []
    for number, placed in enumerate(plan.sound.placements):
        source = plan.sources[placed.source]
        shift = float(placed.offset_s + file_start(source))
        # Without a start nothing is delayed twice: FFmpeg counts the file's time from its first packet.
        delay_ms = max(0, round(shift * 1000))
        cut = f"atrim=start={-shift:.6f}," if shift < 0 else ""
        chains.append(
            f"[{inputs.index(placed.source)}:a]aresample=48000,{cut}asetpts=PTS-STARTPTS,"
            f"adelay={delay_ms}:all=1,atrim=end={float(placed.span.end):.6f}[a{number}]"
        )
        labels.append(f"[a{number}]")
    length_s = float(Fraction(plan.sound.samples, 48_000))
    mixed = f"amix=inputs={len(labels)}:normalize=0:duration=longest,apad,atrim=end={length_s:.6f}[sound]"
    return ";\n".join([*chains, "".join(labels) + mixed])


def _stacked(plan: RenderPlan, shown: Sequence[Placement], count: int, inputs: Sequence[tuple[int, Fraction]]) -> str:
    """``count`` frames of tiles that stay where they are; for each, the number of its input and how that is shifted."""
    picture = plan.picture
    assert picture
    canvas, fps = picture.canvas, picture.clock.fps
    chains: list[str] = []
    labels: list[str] = []
    places: list[str] = []
    for placement, (number, shift_s) in zip(shown, inputs, strict=True):
        _, rect = target(plan, placement)
        resize = f"scale={rect.width}:{rect.height}:flags={_kernel(plan, placement)}"
        chains.append(
            f"[{number}:v]{_shifted(shift_s)},fps={fps}:round=up:start_time=0,"
            f"{_crop(plan, placement)}{resize},format=yuv420p[t{len(labels)}]"
        )
        labels.append(f"[t{len(labels)}]")
        places.append(f"{rect.x}_{rect.y}")
    size = f"{canvas.width}:{canvas.height}"
    if not shown:
        return f"color=black:{canvas}:{fps},trim=end_frame={count},format=yuv420p[picture]"
    if len(shown) == 1:
        x, y = places[0].split("_")
        return ";\n".join([*chains, f"[t0]pad={size}:{x}:{y}:black,trim=end_frame={count}[picture]"])
    stack = f"xstack=inputs={len(labels)}:layout={'|'.join(places)}:fill=black"
    return ";\n".join([*chains, f"{''.join(labels)}{stack},pad={size}:0:0:black,trim=end_frame={count}[picture]"])


def target(plan: RenderPlan, placement: Placement) -> tuple[Rect, Rect]:
    """Which part of the source's picture is shown, and where on the canvas."""
    track = plan.sources[placement.source].video
    assert plan.picture
    assert track
    fitted = fit(track.size, Fraction(1), placement.tile, plan.picture.resize_mode)
    return fitted.crop, fitted.target


def _crop(plan: RenderPlan, placement: Placement) -> str:
    crop, _ = target(plan, placement)
    track = plan.sources[placement.source].video
    assert track
    return "" if crop.size == track.size else f"crop={crop.width}:{crop.height}:{crop.x}:{crop.y},"


def _kernel(plan: RenderPlan, placement: Placement) -> str:
    """As the tool scales, so that pictures can be compared; without its exact rounding, which costs time."""
    crop, rect = target(plan, placement)
    return "area" if rect.width < crop.width else "bicubic"


def _shifted(by_s: Fraction) -> str:
    """Times moved by ``by_s``, and by as little to the front as keeps rounded ones before the frame that shows them."""
    return f"settb=AVTB,setpts=PTS{float(by_s - ROUNDING_S):+.6f}/TB"


def _joined(own: Sequence[Placement]) -> Iterator[Placement]:
    """Placements that follow each other at once, as one."""
    current = own[0]
    for placement in own[1:]:
        if placement.frames.start == current.frames.stop:
            current = replace(current, frames=range(current.frames.start, placement.frames.stop))
        else:
            yield current
            current = placement
    yield current


def _stepped(values: Sequence[tuple[range, int]], fps: int) -> str:
    """An expression of the time that has each value from its first frame on."""
    expression = str(values[-1][1])
    for (_, value), (following, _) in reversed(list(pairwise(values))):
        if str(value) != expression:
            expression = f"if(lt(t,{(following.start - 0.5) / fps:.6f}),{value},{expression})"
    return expression


def _frames(clock: FrameClock, start: Fraction, end: Fraction) -> range:
    return range(clock.first_from(start), clock.first_from(end))


def _common(a: range, b: range) -> range:
    return range(max(a.start, b.start), min(a.stop, b.stop))
