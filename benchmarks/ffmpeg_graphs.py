"""FFmpeg's filter graphs for a plan: the same tiles at the same times, as people would script them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

from owtmix.base.geometry import Rect, fit
from owtmix.base.time import FrameClock
from owtmix.plan.media_info import VideoTrack
from owtmix.plan.model import PicturePlan, RenderPlan, Source

ROUNDING_S: Final = Fraction(1, 10_000)
HELD: Final = "tpad=stop_mode=clone:stop=-1"
"""Repeats the last frame. ``overlay`` could do that too, but goes on working for sources that have ended."""
LEAD_S: Final = Fraction(1, 5)
"""An interval opens a recording this much earlier, for the frame that is on screen when the interval begins."""
SPARSE_LEAD_S: Final = Fraction(6, 5)
"""The same for a recording with few frames, where none of its known gaps is longer."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A source shown at ``rect`` of the canvas for a range of output frames.

    File time plus ``offset_s`` is output time. ``crop`` is the filter that crops the source's picture, or empty.
    ``flags`` names the kernel that scales it: the same as in owtmix, but without its exact rounding, which costs time.
    """

    source: int
    rect: Rect
    frames: range
    offset_s: Fraction
    crop: str
    flags: str


def placements(plan: RenderPlan, within: range | None = None) -> list[Placement]:
    """Every placement, scene by scene, from back to front; a tile that stays through several scenes is one."""
    picture = plan.picture
    assert picture
    within = within or range(picture.frames)
    found: list[Placement] = []
    latest: dict[tuple[int, Rect], int] = {}
    for scene in picture.scenes:
        for tile in scene.tiles:
            for shot in picture.shots[tile.stream]:
                start, end = max(scene.span.start, shot.span.start), min(scene.span.end, shot.span.end)
                frames = _frames(picture.clock, start, end, within)
                if shot.source is None or not frames:
                    continue
                before = latest.get((shot.source, tile.rect))
                if before is not None and found[before].frames.stop == frames.start:
                    found[before] = replace(found[before], frames=range(found[before].frames.start, frames.stop))
                    continue
                latest[shot.source, tile.rect] = len(found)
                track = plan.sources[shot.source].video
                assert track
                fitted = fit(track.size, Fraction(1), tile.rect, scene.look.resize_mode)
                crop, rect = fitted.crop, fitted.target
                cropping = "" if crop.size == track.size else f"crop={crop.width}:{crop.height}:{crop.x}:{crop.y},"
                flags = "area" if rect.width < crop.width else "bicubic"
                found.append(Placement(shot.source, rect, frames, shot.offset_s, cropping, flags))
    return found


def is_steady(plan: RenderPlan) -> bool:
    """Whether the layout stays the same from the first frame to the last."""
    assert plan.picture
    return all(placement.frames == range(plan.picture.frames) for placement in placements(plan))


def intervals(picture: PicturePlan) -> list[range]:
    """The output frames of each layout."""
    whole = range(picture.frames)
    spans = (_frames(picture.clock, scene.span.start, scene.span.end, whole) for scene in picture.scenes)
    return [frames for frames in spans if frames]


def file_start(source: Source) -> Fraction:
    """The time of the file's first picture or sound; FFmpeg's command counts from there."""
    return min(track.span.start for track in (source.video, *source.sounds) if track)


def lead_s(track: VideoTrack, from_s: Fraction) -> Fraction:
    """How much before ``from_s`` (file time) a file has to be opened to show its picture of that moment."""
    held = (from_s - gap.start + ROUNDING_S for gap in track.gaps if gap.start < from_s <= gap.end)
    return max(held, default=SPARSE_LEAD_S if track.gaps else LEAD_S)


def whole_graph(plan: RenderPlan) -> str:
    """One graph for the whole picture, ending in ``[picture]``; its inputs are the sources.

    Each source is scaled once a frame, to its size at that time, and laid over the canvas at its place at that time.
    """
    picture = plan.picture
    assert picture
    shown = placements(plan)
    if is_steady(plan):
        return _stacked(picture, shown, picture.frames, [(p.source, _shift_s(plan, p)) for p in shown])
    canvas, fps = picture.canvas, picture.clock.fps
    base = "canvas"
    chains = [f"color=black:{canvas}:{fps}:{float(picture.clock.time(picture.frames)):.6f},format=yuv420p[{base}]"]
    for source in sorted({placement.source for placement in shown}):
        own = [placement for placement in shown if placement.source == source]
        first, last = own[0].frames.start, own[-1].frames.stop
        width, height, x, y = (
            _stepped([(p.frames.start, getattr(p.rect, side)) for p in own], fps)
            for side in ("width", "height", "x", "y")
        )
        enabled = "+".join(f"between(n,{p.frames.start},{p.frames.stop - 1})" for p in own)
        # No format filter may follow the scaling: it would scale every frame to the size of the first.
        chains.append(
            f"[{source}:v]{_shifted(_shift_s(plan, own[0]), fps)},fps={fps}:round=up,{HELD},"
            f"trim=start_pts={first}:end_pts={last},{own[0].crop}"
            f"scale=w='{width}':h='{height}':eval=frame:flags={own[0].flags}[s{source}]"
        )
        chains.append(f"[{base}][s{source}]overlay=x='{x}':y='{y}':eof_action=pass:enable='{enabled}'[o{source}]")
        base = f"o{source}"
    return ";\n".join([*chains, f"[{base}]null[picture]"])


def interval_graph(plan: RenderPlan, frames: range, leads_s: Sequence[Fraction]) -> str:
    """A graph for one layout, ending in ``[picture]``; its inputs are the placements, in that order.

    Input ``i`` begins ``leads_s[i]`` before the first frame.
    """
    assert plan.picture
    shifts_s = enumerate(-lead_s for lead_s in leads_s)
    return _stacked(plan.picture, placements(plan, frames), len(frames), list(shifts_s))


def sound_graph(plan: RenderPlan) -> str:
    """A graph that mixes all sounds, ending in ``[sound]``; its inputs are the sources."""
    assert plan.sound
    chains = []
    for number, placed in enumerate(plan.sound.placements):
        shift = float(placed.offset_s + file_start(plan.sources[placed.source]))
        # asetpts lets the file begin at 0, so that adelay alone places it: FFmpeg counts from the first packet.
        cut = f"atrim=start={-shift:.6f}," if shift < 0 else ""
        chains.append(
            f"[{placed.source}:a]aresample=48000,{cut}asetpts=PTS-STARTPTS,"
            f"adelay={max(0, round(shift * 1000))}:all=1,atrim=end={float(placed.span.end):.6f}[a{number}]"
        )
    labels = "".join(f"[a{number}]" for number in range(len(chains)))
    length_s = float(Fraction(plan.sound.samples, 48_000))
    mixed = f"amix=inputs={len(chains)}:normalize=0:duration=longest,apad,atrim=end={length_s:.6f}[sound]"
    return ";\n".join([*chains, labels + mixed])


def _stacked(
    picture: PicturePlan, shown: Sequence[Placement], count: int, inputs: Sequence[tuple[int, Fraction]]
) -> str:
    """``count`` frames of tiles that stay; ``inputs`` has the number of each tile's input and its shift in time."""
    canvas, fps = picture.canvas, picture.clock.fps
    if not shown:
        return f"color=black:{canvas}:{fps},trim=end_frame={count},format=yuv420p[picture]"
    chains = [
        f"[{number}:v]{_shifted(shift_s, fps)},fps={fps}:round=up:start_time=0,{placement.crop}"
        f"scale={placement.rect.width}:{placement.rect.height}:flags={placement.flags},format=yuv420p[t{tile}]"
        for tile, (placement, (number, shift_s)) in enumerate(zip(shown, inputs, strict=True))
    ]
    size = f"{canvas.width}:{canvas.height}"
    if len(shown) == 1:
        stack = f"[t0]pad={size}:{shown[0].rect.x}:{shown[0].rect.y}:black"
    else:
        tiles = "".join(f"[t{tile}]" for tile in range(len(shown)))
        places = "|".join(f"{placement.rect.x}_{placement.rect.y}" for placement in shown)
        stack = f"{tiles}xstack=inputs={len(shown)}:layout={places}:fill=black,pad={size}:0:0:black"
    return ";\n".join([*chains, f"{stack},trim=end_frame={count}[picture]"])


def _shift_s(plan: RenderPlan, placement: Placement) -> Fraction:
    return placement.offset_s + file_start(plan.sources[placement.source])


def _shifted(by_s: Fraction, fps: int) -> str:
    """Times moved by ``by_s``, less half a frame (frames show the middle of their time) and a little for rounding."""
    return f"settb=AVTB,setpts=PTS{float(by_s - Fraction(1, 2 * fps) - ROUNDING_S):+.6f}/TB"


def _stepped(values: Sequence[tuple[int, int]], fps: int) -> str:
    """An expression of the time ``t``, which has each value from its first frame on."""
    expression = str(values[-1][1])
    for (_, value), (following, _) in reversed(list(pairwise(values))):
        if str(value) != expression:
            expression = f"if(lt(t,{(following - 0.5) / fps:.6f}),{value},{expression})"
    return expression


def _frames(clock: FrameClock, start: Fraction, end: Fraction, within: range) -> range:
    return range(max(clock.first_showing(start), within.start), min(clock.first_showing(end), within.stop))
