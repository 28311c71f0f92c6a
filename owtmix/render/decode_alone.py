"""Decodes one source alone, in the same way as rendering, to find out whether it crashes the process."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from owtmix.base.time import SpanCursor
from owtmix.compositor.factory import make_canvas
from owtmix.plan.model import SAMPLE_RATE_HZ, RenderPlan
from owtmix.render.audio_source import AudioSources
from owtmix.render.callbacks import Advance, Heartbeat, no_heartbeat
from owtmix.render.frames import Decoding, TileRenderer
from owtmix.render.video_source import VideoSources


def decode_video(
    plan: RenderPlan,
    sources: VideoSources,
    source: int,
    frames: range,
    advance: Advance,
    heartbeat: Heartbeat = no_heartbeat,
) -> None:
    """Decode and scale the picture of one source as far as ``frames`` show it; ``advance`` is told the output time."""
    picture = plan.picture
    assert picture
    stream = plan.sources[source].stream
    scenes, shots = SpanCursor(picture.scenes), SpanCursor(picture.shots[stream])
    decoding = Decoding(sources, heartbeat=heartbeat)
    scaler = make_canvas(picture).scaler
    with TileRenderer(stream, picture.shots[stream], decoding, scaler, picture.clock) as tile_renderer:
        for t in map(picture.clock.middle, frames):
            scene, shot = scenes.at(t), shots.at(t)
            places = [tile.rect for tile in scene.tiles_at(t) if tile.stream == stream] if scene else []
            if not (scene and places):
                tile_renderer.close()
            elif shot and shot.source == source:
                advance(t)
                tile_renderer.layers((t,), places, scene.look.resize_mode)


def decode_audio(plan: RenderPlan, sources: AudioSources, source: int, until_s: Fraction, advance: Advance) -> None:
    """Decode the sound of one source before output time ``until_s``; ``advance`` is told the output time."""
    assert plan.sound
    for placement in (p for p in plan.sound.placements if p.source == source):
        start, end = (floor(t * SAMPLE_RATE_HZ) for t in (placement.span.start, min(placement.span.end, until_s)))
        reader = sources.open_audio(source, placement.track, placement.offset_s)
        try:
            for first in range(start, end, SAMPLE_RATE_HZ):
                advance(Fraction(first, SAMPLE_RATE_HZ))
                reader.read(first, min(SAMPLE_RATE_HZ, end - first))
        finally:
            reader.close()
