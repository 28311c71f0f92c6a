"""One source is decoded alone, as rendering would decode it, to find out whether it crashes the process."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from owtmix.base.time import SpanCursor
from owtmix.compositor.factory import make_canvas
from owtmix.media.audio_reader import AudioReader
from owtmix.plan.device import CPU
from owtmix.plan.model import SAMPLE_RATE_HZ
from owtmix.render.frames import Footage, TileRenderer
from owtmix.render.video_track import Advance, Heartbeat, Material


def decode_picture(
    material: Material, source: int, frames: range, advance: Advance, pulse: Heartbeat = lambda: None
) -> None:
    """Decode and scale one source's picture as ``make_picture`` would, and nothing else.

    ``advance`` is told the output time.
    """
    picture = material.plan.picture
    assert picture
    stream = material.plan.sources[source].stream
    footage = Footage(material.plan.sources, material.paths, pulse=pulse)
    scenes, shots = SpanCursor(picture.scenes), SpanCursor(picture.shots[stream])
    scaler = make_canvas(picture, CPU).scaler
    with TileRenderer(stream, picture.shots[stream], footage, scaler, picture.clock) as content:
        for t in map(picture.clock.time, frames):
            scene, shot = scenes.at(t), shots.at(t)
            places = [tile.rect for tile in scene.tiles if tile.stream == stream] if scene else []
            if not places:
                content.close()
            elif shot and shot.source == source:
                advance(t)
                content.layers((t,), places)


def decode_sound(material: Material, source: int, until_s: Fraction, advance: Advance) -> None:
    """Decode one source's sound before ``until_s`` as ``make_sound`` would, and nothing else.

    ``advance`` is told the output time.
    """
    sound = material.plan.sound
    assert sound
    for placement in (p for p in sound.placements if p.source == source):
        start, end = (floor(t * SAMPLE_RATE_HZ) for t in (placement.span.start, min(placement.span.end, until_s)))
        with AudioReader(material.paths[source], placement.track, placement.offset_s) as reader:
            for first in range(start, end, SAMPLE_RATE_HZ):
                advance(Fraction(first, SAMPLE_RATE_HZ))
                reader.read(first, min(SAMPLE_RATE_HZ, end - first))
