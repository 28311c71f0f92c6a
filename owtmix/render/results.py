"""What rendering a part of a plan tells besides its pixels or samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from owtmix.plan.media_info import Damage, DecodeStats


@dataclass(frozen=True, slots=True)
class DecodeFailure:
    """A recording cannot be decoded from output time ``at_s`` on; ``reason`` is in words."""

    at_s: Fraction
    reason: str


@dataclass(frozen=True, slots=True)
class RenderResult:
    """What sources that were decoded turned out to be, and since when others cannot be decoded; by their numbers.

    ``heard`` is what of their sound could not be; ``device`` is what the picture was composed on: ``cpu``, ``cuda:0``.
    ``gpu_failure`` tells of a graphics card that failed at it.
    """

    seen: dict[int, DecodeStats] = field(default_factory=dict)
    heard: dict[int, Damage] = field(default_factory=dict)
    failures: dict[int, DecodeFailure] = field(default_factory=dict)
    device: str = "cpu"
    gpu_failure: str | None = None
