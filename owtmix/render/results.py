"""Reports of rendering a part of a plan, besides its pixels or samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from owtmix.plan.media_info import Damage, DecodeStats

LONGEST_REASON: Final = 2000
"""In characters: a library's message may be long."""


@dataclass(frozen=True, slots=True)
class DecodeFailure:
    """A source cannot be decoded from output time ``at_s`` on; ``reason`` is in words.

    ``is_change`` says that its file is not the one any more that was planned.
    """

    at_s: Fraction
    reason: str
    is_change: bool = False


@dataclass(frozen=True, slots=True)
class RenderResult:
    """Findings about sources from decoding them, by source number.

    ``video_stats`` describe pictures, ``audio_damage`` describes sound, ``failures`` the one of them that was made; of
    sound only that files changed. ``device`` (``cpu``,
    ``cuda:0``) composed the picture. ``gpu_failure`` is the error of a GPU that failed meanwhile.
    """

    video_stats: dict[int, DecodeStats] = field(default_factory=dict)
    audio_damage: dict[int, Damage] = field(default_factory=dict)
    failures: dict[int, DecodeFailure] = field(default_factory=dict)
    device: str = "cpu"
    gpu_failure: str | None = None


def joined(results: Iterable[RenderResult]) -> tuple[dict[int, DecodeStats], dict[int, Damage]]:
    """The findings of all tracks about the sources: about their pictures, and about their sound."""
    video_stats: dict[int, DecodeStats] = {}
    audio_damage: dict[int, Damage] = {}
    for result in results:
        audio_damage |= result.audio_damage
        for source, more in result.video_stats.items():
            video_stats[source] = video_stats.get(source, DecodeStats()).joined(more)
    return video_stats, audio_damage
