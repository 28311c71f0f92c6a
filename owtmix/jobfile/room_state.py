"""What may change while a room runs, and when it changes (docs/rooms.md)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from owtmix.base.ids import StreamId
from owtmix.jobfile.spec import MixerSpec, SubscriptionSpec


@dataclass(frozen=True, slots=True)
class OutputTime:
    """A time of the output, in seconds."""

    s: Fraction


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """The streams that are off from change number ``latest`` on, the latest one that switched any.

    All states of a room share ``switches``, the numbers of the changes that switched each stream, in order.
    """

    switches: Mapping[StreamId, Sequence[int]] = field(default_factory=dict, repr=False, compare=False)
    latest: int = 0

    def __contains__(self, stream: StreamId) -> bool:
        return bisect_right(self.switches.get(stream, ()), self.latest) % 2 == 1


@dataclass(frozen=True, slots=True)
class RoomState:
    """The room from one change to the next.

    The pictures of streams in ``hidden`` are not shown, and those in ``muted`` are not heard.
    """

    mixer: MixerSpec
    subscription: SubscriptionSpec
    bit_rate_kbps: int
    hidden: SwitchedOff = SwitchedOff()
    muted: SwitchedOff = SwitchedOff()

    def changes(self, before: RoomState) -> tuple[str, ...]:
        """What is other than ``before``."""
        pairs = {
            "mixer": (self.mixer, before.mixer),
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
