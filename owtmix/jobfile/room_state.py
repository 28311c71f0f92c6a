"""What may change while a room runs, and when it changes (docs/rooms.md)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from owtmix.base.ids import StreamId
from owtmix.jobfile.spec import MixerSpec, SubscriptionSpec


@dataclass(frozen=True, slots=True)
class OutputTime:
    """A time of the output, in seconds."""

    s: Fraction


@dataclass(frozen=True, slots=True)
class RoomState:
    """The room from one change to the next.

    The pictures of streams in ``hidden`` are not shown, and those in ``muted`` are not heard.
    """

    mixer: MixerSpec
    subscription: SubscriptionSpec
    bit_rate_kbps: int
    hidden: frozenset[StreamId] = frozenset()
    muted: frozenset[StreamId] = frozenset()

    def changes(self, before: RoomState) -> tuple[str, ...]:
        """What is other than ``before``."""
        pairs = {
            "layout": (self.mixer, before.mixer),
            "subscriptions": (self.subscription, before.subscription),
            "bit rate": (self.bit_rate_kbps, before.bit_rate_kbps),
            "pictures": (self.hidden, before.hidden),
            "sounds": (self.muted, before.muted),
        }
        return tuple(name for name, (now, then) in pairs.items() if now != then)


@dataclass(frozen=True, slots=True)
class Change:
    """From ``at_s`` on (s, index time) the room is in ``state``; ``where`` is the update that says so."""

    at_s: Fraction
    where: str
    action: str
    state: RoomState
