"""What decides the bytes of a part of the output, as a hash: equal fingerprints mean equal bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from owtmix.base.time import TimeRange
from owtmix.plan.device import CPU
from owtmix.plan.model import RenderPlan
from owtmix.plan.shots import Shot
from owtmix.produce.code_digest import code_digest


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the files of a plan are: ``versions[i]`` changes when source ``i`` does, ``images`` hold digests by name."""

    versions: Sequence[str]
    images: Mapping[str, str]


def chunk_key(plan: RenderPlan, frames: range, inputs: Inputs) -> str:
    """Of a chunk of the picture: only what can be seen in it counts."""
    picture = plan.picture
    assert picture
    span = TimeRange(picture.clock.time(frames.start), picture.clock.time(frames.stop))
    scenes = [replace(scene, span=_common(scene.span, span)) for scene in picture.scenes if scene.span.overlaps(span)]
    shown = {tile.stream for scene in scenes for tile in scene.tiles}
    shots = {stream: list(_seen(picture.shots[stream], span)) for stream in sorted(shown)}
    return _digest(
        code_digest("picture", on_gpu=plan.device not in {"", CPU.name}),
        frames,
        replace(picture, frames=0, scenes=(), shots={}, chunks=()),
        scenes,
        [
            (stream, [(_track(plan, s, inputs), replace(s, source=None)) for s in seen])
            for stream, seen in shots.items()
        ],
        [inputs.images.get(name) for name in sorted(inputs.images)],
        plan.time_zone,
        plan.epoch_at(span.start),
        [jump for jump in plan.jumps if jump.at_s in span],
    )


def audio_key(plan: RenderPlan, inputs: Inputs) -> str:
    """Of the whole sound."""
    sound = plan.sound
    assert sound
    placed = [(inputs.versions[p.source], replace(p, source=0)) for p in sound.placements]
    return _digest(code_digest("sound"), replace(sound, placements=()), placed)


def track_keys(plan: RenderPlan, inputs: Inputs) -> list[str]:
    """Of the sound, and of every chunk of the picture."""
    sound = [audio_key(plan, inputs)] if plan.sound else []
    chunks = plan.picture.chunks if plan.picture else ()
    return sound + [chunk_key(plan, frames, inputs) for frames in chunks]


def digest(data: bytes) -> str:
    """Of what is not a file of its own."""
    return hashlib.sha256(data).hexdigest()


def _seen(shots: Iterable[Shot], span: TimeRange) -> Iterator[Shot]:
    """The shots in ``span``, without what they were before and will be after it."""
    for shot in shots:
        if shot.span.overlaps(span):
            yield replace(shot, span=_common(shot.span, span), until_s=min(shot.until_s, span.end))


def _track(plan: RenderPlan, shot: Shot, inputs: Inputs) -> tuple[str, int] | None:
    if shot.source is None:
        return None
    track = plan.sources[shot.source].video
    assert track
    return inputs.versions[shot.source], track.index


def _common(a: TimeRange, b: TimeRange) -> TimeRange:
    return TimeRange(max(a.start, b.start), min(a.end, b.end))


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
