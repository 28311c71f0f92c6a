"""The sound of a plan, mixed and encoded into a track."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.file_version import CHANGED
from owtmix.media.writers import AudioWriter
from owtmix.plan.media_info import Damage
from owtmix.plan.model import SAMPLE_RATE_HZ, RenderPlan
from owtmix.render.audio_mix import MixObserver, mix
from owtmix.render.audio_source import AudioSources
from owtmix.render.callbacks import Advance, Warn, ignore_advance
from owtmix.render.handing_over import hand_over
from owtmix.render.limiter import Samples
from owtmix.render.results import DecodeFailure, RenderResult

WAITING_BLOCKS: Final = 16
"""Blocks of the limiter that wait for the encoder: 3 s, 1 MiB."""


def make_audio_track(
    plan: RenderPlan,
    sources: AudioSources,
    track: Path,
    advance: Advance,
    warn: Warn,
    on_wait: Advance = ignore_advance,
) -> RenderResult:
    """Mix the plan's sound and encode it into the file ``track``.

    While the mix waits for a source, ``on_wait`` gets the output time from which on sources are still needed.

    Returns:
        The damage in each source's sound, and from when on it is silent because its file changed.

    Raises:
        RenderError: mixing or encoding failed.
    """
    assert plan.sound
    result = RenderResult()

    def on_warning(source: int, problem: str) -> None:
        warn(f"the sound of {plan.sources[source].key}: {problem}")

    def on_damage(source: int, damage: Damage) -> None:
        result.audio_damage[source] = result.audio_damage.get(source, Damage()).joined(damage)

    def on_change(source: int, at_s: Fraction) -> None:
        result.failures.setdefault(source, DecodeFailure(at_s, CHANGED, is_change=True))

    writer = AudioWriter(track, plan.sound.encoding)

    def encode(arriving: Iterable[Samples]) -> None:
        written = 0
        for block in arriving:
            writer.write(block)
            written += block.shape[1]
            advance(Fraction(written, SAMPLE_RATE_HZ))
        writer.close()

    observer = MixObserver(on_warning, on_damage, on_wait, on_change)
    hand_over(mix(plan.sound.placements, sources, plan.sound.samples, observer), encode, most=WAITING_BLOCKS)
    return result
