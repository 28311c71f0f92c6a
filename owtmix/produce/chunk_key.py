"""The key of a track: a hash of everything that decides its bytes. Equal keys mean equal bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from owtmix.base.ids import StreamId
from owtmix.base.time import TimeRange, overlapping
from owtmix.compositor.text.coverage import needed_fonts
from owtmix.jobfile.spec import ImageWatermark, TextWatermark
from owtmix.plan.device import CPU
from owtmix.plan.model import RenderPlan
from owtmix.plan.scenes import Scene
from owtmix.plan.shots import Shot
from owtmix.produce.code_digest import CodeDigest, code_digest


@dataclass(frozen=True, slots=True)
class InputVersions:
    """Versions of the inputs beside the plan: ``sources[i]`` changes with source ``i``, ``images`` are digests by name.

    ``code`` changes with the code and its libraries.
    """

    sources: Sequence[str]
    images: Mapping[str, str]
    code: CodeDigest = code_digest


def chunk_key(plan: RenderPlan, frames: range, versions: InputVersions) -> str:
    """The key of a chunk of the picture. It depends only on parts of the plan that are visible in the chunk."""
    picture = plan.picture
    assert picture
    span = TimeRange(picture.clock.time(frames.start), picture.clock.time(frames.stop))
    scenes = [scene.within(span) for scene in overlapping(picture.scenes, span)]
    shown = {tile.stream for scene in scenes for tile in scene.tiles}
    names = {stream: name for stream, name in picture.names.items() if stream in shown}
    fonts = needed_fonts(_texts(scenes, picture.names), picture.fonts)
    encoding = picture.encoding_of(frames)
    shots = {stream: list(_seen(picture.shots[stream], span)) for stream in sorted(shown)}
    return _digest(
        versions.code("picture", on_gpu=plan.device not in {"", CPU.name}),
        frames,
        replace(
            picture, frames=0, scenes=(), shots={}, chunks=(), encoding=encoding, later=(), names=names, fonts=fonts
        ),
        scenes,
        [
            (stream, [(_track(plan, s, versions), replace(s, source=None)) for s in seen])
            for stream, seen in shots.items()
        ],
        [versions.images.get(name) for name in sorted(_images(scenes))],
        plan.time_zone,
        plan.epoch_at(span.start),
        [jump for jump in plan.jumps if jump.at_s in span],
    )


def _texts(scenes: Iterable[Scene], names: Mapping[StreamId, str]) -> Iterator[str]:
    """What may be written in ``scenes``: any recording may fail, and its placeholder be drawn."""
    for scene in scenes:
        yield from (names.get(tile.stream, tile.stream.user) for tile in scene.tiles)
        yield from (tile.label for tile in scene.tiles)
        yield from (mark.text for mark in scene.look.watermarks if isinstance(mark, TextWatermark))


def _images(scenes: Iterable[Scene]) -> set[str]:
    """The sources of the images that are drawn."""
    marks = (mark for scene in scenes for mark in scene.look.watermarks)
    return {mark.source for mark in marks if isinstance(mark, ImageWatermark)}


def audio_key(plan: RenderPlan, versions: InputVersions) -> str:
    """The key of the whole sound."""
    sound = plan.sound
    assert sound
    placed = [(versions.sources[p.source], replace(p, source=0)) for p in sound.placements]
    return _digest(versions.code("sound"), replace(sound, placements=()), placed)


def track_keys(plan: RenderPlan, versions: InputVersions) -> list[str]:
    """The keys of the sound and of every chunk of the picture."""
    sound = [audio_key(plan, versions)] if plan.sound else []
    chunks = plan.picture.chunks if plan.picture else ()
    return sound + [chunk_key(plan, frames, versions) for frames in chunks]


def _seen(shots: Iterable[Shot], span: TimeRange) -> Iterator[Shot]:
    """The parts of the shots that lie in ``span``."""
    for shot in shots:
        if shot.span.overlaps(span):
            yield replace(shot, span=shot.span.common(span), until_s=min(shot.until_s, span.end))


def _track(plan: RenderPlan, shot: Shot, versions: InputVersions) -> tuple[str, int, bool] | None:
    if shot.source is None:
        return None
    source = plan.sources[shot.source]
    assert source.video
    return versions.sources[shot.source], source.video.index, source.loop_filter


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
