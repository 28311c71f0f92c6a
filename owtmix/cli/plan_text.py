"""A plan as text, for ``--plan``."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

from owtmix.base.geometry import Anchor, ResizeMode
from owtmix.base.ids import StreamId
from owtmix.base.plain_text import plain_line
from owtmix.base.time import TimeRange, timecode
from owtmix.jobfile.spec import ClockWatermark, ImageWatermark, TextWatermark, Watermark
from owtmix.plan.media_info import AudioTrack, VideoTrack
from owtmix.plan.model import FontFile, PicturePlan, PlannedUpdate, RenderPlan, SoundPlan, Source
from owtmix.plan.scenes import Scene
from owtmix.plan.tiles import Tile
from owtmix.plan.turns import Turn

_RESIZING = {
    ResizeMode.STRETCH: "stretched to their tiles",
    ResizeMode.FILL: "cropped to fill their tiles",
    ResizeMode.FIT: "fitted with black bars",
}


def describe_plan(plan: RenderPlan) -> str:
    """Format output, sources, presence, scenes and warnings as lines of text."""
    return "\n".join(map(plain_line, _lines(plan)))


def _lines(plan: RenderPlan) -> Iterator[str]:
    yield f"Job      {plan.job_id}"
    yield f"Output   {plan.output_key}: {plan.container}, {timecode(plan.duration_s)}"
    yield f"Picture  {_picture(plan.picture)}"
    if plan.picture and plan.picture.fonts:
        yield f"Fonts    {', '.join(map(_font, plan.picture.fonts))}"
    if plan.device:
        yield f"Device   {_device(plan)}"
    yield f"Sound    {_sound(plan.sound)}"
    yield f"Confined {', '.join(plan.confinement) or 'not at all: this kernel offers no layer'}"
    yield f"Index    times read as {plan.index_unit}"
    yield ""
    yield "Sources"
    yield from _indented(_table([("#", "stream", "key", "picture", "sound"), *_sources(plan.sources)]))
    if plan.left_out:
        yield ""
        yield "Left out"
        yield from _indented(f"{key}: {reason}" for key, reason in plan.left_out)
    yield ""
    yield "Present"
    yield from _indented(_table([(str(s), ", ".join(map(_span, spans))) for s, spans in plan.presence.items()]))
    if plan.picture:
        yield ""
        yield "Scenes, each from back to front"
        look = None
        for scene in plan.picture.scenes:
            yield from _indented(_scene(scene, plan.picture, is_new=scene.look != look))
            look = scene.look
    if plan.speakers is not None:
        yield ""
        yield "Speakers" if plan.speakers else "Nobody speaks"
        yield from _indented(_table([_turn(turn) for turn in plan.speakers]))
    if plan.updates:
        yield ""
        yield "Updates"
        yield from _indented(_table([_update(update, plan) for update in plan.updates]))
    yield ""
    yield f"Warnings ({len(plan.warnings)})" if plan.warnings else "No warnings"
    yield from _indented(plan.warnings)


def _update(update: PlannedUpdate, plan: RenderPlan) -> tuple[str, ...]:
    changes = f"changes {', '.join(update.changes) or 'nothing'}"
    begins = ""
    if update.scene is not None and plan.picture:
        begins = f"scene {update.scene + 1} of {len(plan.picture.scenes)} begins"
    return timecode(update.at_s), update.action, update.where, changes, begins


def _font(font: FontFile) -> str:
    return f"{font.path} for {', '.join(sorted({_script_of(char) for char in font.chars}))}"


def _script_of(char: str) -> str:
    """The script of a character: the first word of its name in Unicode, such as Devanagari."""
    return unicodedata.name(char, "unnamed").split()[0].split("-")[0].capitalize()


def _turn(turn: Turn) -> tuple[str, ...]:
    return _span(TimeRange(turn.from_s, turn.to_s)), str(turn.stream)


def _picture(picture: PicturePlan | None) -> str:
    if picture is None:
        return "none"
    encoding = picture.encoding
    chunks = f" in {len(picture.chunks)} chunks" if len(picture.chunks) > 1 else ""
    return (
        f"{picture.canvas}, {picture.clock.fps} fps, {picture.frames} frames{chunks}, {encoding.encoder} at "
        f"{encoding.bit_rate_kbps} kbit/s, {picture.matrix}"
    )


def _device(plan: RenderPlan) -> str:
    """The device that decodes and composes. The encoder is in the line of the picture."""
    if plan.device == "cpu":
        return f"decoded and composed on the CPU: {plan.device_why}"
    return f"decoded where it can, and composed, on {plan.device}: {plan.device_why}"


def _sound(sound: SoundPlan | None) -> str:
    if sound is None:
        return "none"
    encoding = sound.encoding
    return f"{encoding.encoder} at {encoding.bit_rate_kbps} kbit/s, 48000 Hz, {_channels(encoding.channels)}"


def _sources(sources: Iterable[Source]) -> Iterator[tuple[str, ...]]:
    for number, source in enumerate(sources):
        picture = _video_track(source.video) + ("" if source.loop_filter else ", without its loop filter")
        yield str(number), str(source.stream), source.key, picture, _sounds(source.sounds)


def _video_track(track: VideoTrack | None) -> str:
    return f"{track.codec} {track.size}, {timecode(track.span.duration)}" if track else "-"


def _sounds(tracks: Sequence[AudioTrack]) -> str:
    return " and ".join(f"{track.codec} {track.rate_hz} Hz {_channels(track.channels)}" for track in tracks) or "-"


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")


def _scene(scene: Scene, picture: PicturePlan, *, is_new: bool) -> Iterator[str]:
    """A scene; its look only where it ``is_new``."""
    moving = f", which move until {timecode(scene.settled_s)}" if scene.origins else ""
    yield f"{_span(scene.span)}  {_tile_count(len(scene.tiles))}{moving}"
    yield from _indented(_table([(str(t.stream), str(t.rect), _remarks(t, scene, picture)) for t in scene.tiles]))
    if is_new:
        corners = [f"corners with a radius of {scene.look.corner_px} px"] if scene.look.corner_px else []
        sources = f"sources {_RESIZING[scene.look.resize_mode]}"
        yield from _indented([sources, *corners, *map(_watermark, scene.look.watermarks)])


def _tile_count(count: int) -> str:
    return {0: "nobody is shown", 1: "1 tile"}.get(count, f"{count} tiles")


def _remarks(tile: Tile, scene: Scene, picture: PicturePlan) -> str:
    placeholders = _placeholders(tile.stream, scene, picture)
    label = f'"{tile.label}"' if tile.label else ""
    return ", ".join(
        filter(None, [label, "muted" if tile.is_muted else "", "speaks" if tile.border_px else "", placeholders])
    )


def _placeholders(stream: StreamId, scene: Scene, picture: PicturePlan) -> str:
    """The ranges in which the tile shows the placeholder."""
    hidden = [
        shot.span.common(scene.span)
        for shot in picture.shots[stream]
        if shot.source is None and shot.span.overlaps(scene.span)
    ]
    return "placeholder " + ", ".join(map(_span, hidden)) if hidden else ""


def _span(span: TimeRange) -> str:
    return f"{timecode(span.start)} - {timecode(span.end)}"


def _watermark(mark: Watermark) -> str:
    match mark:
        case ClockWatermark():
            what = "the time"
        case ImageWatermark():
            what = f"the image {mark.shown}" + (f", {mark.width} px wide," if mark.width else "")
        case TextWatermark():
            what = f'the text "{mark.text}"'
    corner = "" if mark.anchor is Anchor.TOP_LEFT else f" of the {mark.anchor.value} corner"
    return f"{what} at {mark.x},{mark.y}{corner}, opacity {mark.alpha:g}"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Align columns by width on a terminal, where CJK characters take two cells."""
    rows = [tuple(map(plain_line, row)) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
