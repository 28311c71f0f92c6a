"""The sound of a plan, mixed and encoded into a track."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from owtmix.media.writers import AudioWriter
from owtmix.plan.media_info import Damage
from owtmix.plan.model import SAMPLE_RATE_HZ
from owtmix.render.audio_mix import MixObserver, mix
from owtmix.render.results import RenderResult

if TYPE_CHECKING:  # what composes pictures does not decide the sound: owtmix/produce/code_digest.py
    from owtmix.render.video_track import Advance, Material, Warn


def make_sound(
    material: Material, track: Path, advance: Advance, warn: Warn, wait: Advance = lambda _: None
) -> RenderResult:
    """Mix and encode the plan's sound into ``track``.

    While a source is on its way, ``wait`` is told again and again from which output time on sources are still needed.

    Returns:
        What of each source could not be decoded.

    Raises:
        RenderError: mixing or encoding failed.
    """
    plan = material.plan
    assert plan.sound

    def warn_of(source: int, problem: str) -> None:
        warn(f"the sound of {plan.sources[source].key}: {problem}")

    notes = RenderResult()

    def note(source: int, damage: Damage) -> None:
        notes.heard[source] = notes.heard.get(source, Damage()).joined(damage)

    writer = AudioWriter(track, plan.sound.encoding)
    written = 0
    for block in mix(plan.sound.placements, material.paths, plan.sound.samples, warn_of, MixObserver(wait, note)):
        writer.write(block)
        written += block.shape[1]
        advance(Fraction(written, SAMPLE_RATE_HZ))
    writer.close()
    return notes
