"""Which job goes to which card: the least loaded one with room, and with an NVENC session that is held beforehand.

A job waits for a card rather than run without one, so that neither its pixels nor its encoder depend on how busy the
machine is. Cards of a machine are shared with other batches of the same user by locks on files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, Protocol

from owtmix.batch.capacity import ASSUMED, CORES_ALONE, TYPICAL, Capacity, Rates, Room, capacity_of
from owtmix.workers.card_holds import PARTS, SESSIONS, parts_of
from owtmix.workers.card_list import CardList, ListedCard
from owtmix.workers.card_models import CONSUMER_SESSIONS, CardModel, model_of

STRIKES: Final = 2
"""So many jobs in a row that a card failed take it out."""
NOT_MEASURED: Final[Mapping[str, Rates]] = MappingProxyType({})
NOT_READ: Final[Mapping[str, Room]] = MappingProxyType({})
_RENDERING_FAILED: Final = 4
_log = logging.getLogger(__name__)


class Locks(Protocol):
    """As ``Places``: descriptors that hold something until they are closed."""

    def take(self) -> int | None:
        """A descriptor, or None where everything is taken."""


@dataclass(slots=True, eq=False)
class CardSlot:
    """Where a job runs. On a card it has one worker: a further one would open a session and take memory of its own.

    Attributes:
        device: the value of its ``--device``.
        environment: what is set in its environment besides.
        card: the number of the card, as in ``Cards.cards``; None on the CPU.
        share: its part of the card.
        descriptors: hold its part and its session; the job inherits them, so that they last as long as it does.
    """

    device: str
    environment: Mapping[str, str] = field(default_factory=dict)
    card: int | None = None
    share: Fraction = Fraction(0)
    descriptors: tuple[int, ...] = ()

    def let_go(self) -> None:
        """Close the descriptors, after the job was started with copies of them, or when it does not start."""
        held, self.descriptors = self.descriptors, ()
        for descriptor in held:
            os.close(descriptor)


def by_load(loads: Sequence[Fraction], shares: Sequence[Fraction], usable: Sequence[bool]) -> list[int]:
    """The cards that take a job which would have ``shares`` of them, the least loaded first, then the strongest.

    A card that is empty takes any job.
    """
    fitting = [n for n, load in enumerate(loads) if usable[n] and (not load or load + shares[n] <= 1)]
    return sorted(fitting, key=lambda n: (loads[n], shares[n], n))


class Cards:
    """The cards of this machine and what runs on them. Not for several threads.

    Args:
        found: the cards.
        cores: the processors that jobs may use; each card has an equal part of them.
        locks: makes the locks of that name and count which the batches of this machine share.
        share: the part of a card that each job has; None: by the model of ``capacity``.
        rates: what cards were measured to do, by the names of their models.
        canvas_mib: the setting ``gpu.memory_mib``.
        rooms: what is known of the jobs, by their ids.
    """

    def __init__(
        self,
        found: CardList,
        cores: float,
        locks: Callable[[str, int], Locks],
        share: Fraction | None = None,
        rates: Mapping[str, Rates] = NOT_MEASURED,
        canvas_mib: int = 1024,
        rooms: Mapping[str, Room] = NOT_READ,
    ) -> None:
        self.cards = found.cards
        self.why = found.why
        self._rates = rates
        self._rooms = rooms
        self.out: dict[int, str] = {}
        """Cards that are not used any more, and why."""
        self._cores = cores / max(1, len(found.cards))
        self._share = share
        self._canvas_mib = canvas_mib
        self._models = [model_of(card.name) for card in found.cards]
        self._loads = [Fraction(0)] * len(found.cards)
        self._strikes = [0] * len(found.cards)
        self._parts = [locks(parts_of(card.uuid), PARTS) for card in found.cards]
        self._limited = [model.needs_session for model in self._models]
        self._sessions = locks(SESSIONS, CONSUMER_SESSIONS) if any(self._limited) else None
        self._sessions_held = 0

    @property
    def loads(self) -> tuple[Fraction, ...]:
        """The load of each card by the jobs of this batch, 0..1."""
        return tuple(self._loads)

    def room_of(self, job_id: str) -> Room:
        """What a job is to a card, as far as it is known."""
        return self._rooms.get(job_id, TYPICAL)

    def place(self, device: str | None = None, room: Room = TYPICAL) -> CardSlot | None:
        """A slot for a job with this ``--device``, or None: it waits for a card. Release it when the job has ended.

        Without cards, or when all are out, the job runs on the CPU, whatever load there is. A job that asks for a card
        which is not there is left to ``owt-main``, which refuses it.
        """
        wanted = device or "auto"
        if wanted == "cpu":
            return CardSlot("cpu")
        candidates = self._usable(wanted)
        if not any(candidates):
            return CardSlot("cpu" if wanted == "auto" else wanted)
        shares = [self._share_of(number, room) for number in range(len(self.cards))]
        for number in by_load(self._loads, shares, candidates):
            held = self._hold(number, shares[number])
            if held is None:
                continue
            self._loads[number] += shares[number]
            self._sessions_held += self._limited[number]
            shown = {"CUDA_VISIBLE_DEVICES": self.cards[number].uuid}
            return CardSlot("auto" if wanted == "auto" else "cuda:0", shown, number, shares[number], held)
        return None

    def release(self, slot: CardSlot) -> None:
        """The job has ended, or does not begin."""
        slot.let_go()
        if slot.card is not None:
            self._loads[slot.card] -= slot.share
            self._sessions_held -= self._limited[slot.card]
            slot.card, slot.share = None, Fraction(0)

    def judge(self, slot: CardSlot, exit_status: int | None, report: Mapping[str, Any] | None) -> str | None:
        """Before ``release``: see whether the card failed the job, and take it out after ``STRIKES`` in a row.

        Returns:
            Why the card is out, when it is from now on.
        """
        number = slot.card
        if number is None or number in self.out:
            return None
        fault = card_fault(exit_status, report)
        if fault is None:
            return None
        self._strikes[number] = self._strikes[number] + 1 if fault else 0
        if self._strikes[number] < STRIKES:
            return None
        self.out[number] = f"{self.cards[number].name} ({self.cards[number].uuid}) is not used any more: {fault}"
        return self.out[number]

    def describe(self) -> Iterator[str]:
        """A line for each card, with what it carries and what bounds that; or why there is none."""
        if not self.cards:
            yield f"no card: {self.why}"
        speed = 0.0
        for card, model in zip(self.cards, self._models, strict=True):
            carried = self._capacity(card, model, TYPICAL)
            speed += carried.speed
            guessed = "" if model.known else "; its model is not known, so it is taken for a small one"
            yield f"{card.name}: {carried.jobs} jobs at once, bound by {carried.bound}{guessed}"
        cores = self._cores * len(self.cards)
        if self.cards and speed < cores / CORES_ALONE:
            yield f"{cores:g} cores without cards may be faster than these cards: --gpus 0"

    def _capacity(self, card: ListedCard, model: CardModel, room: Room) -> Capacity:
        rates = self._rates.get(model.name, ASSUMED)
        return capacity_of(model, card.memory_mib, self._cores, room, rates, self._canvas_mib)

    def _share_of(self, number: int, room: Room) -> Fraction:
        if self._share is not None:
            return self._share
        return Fraction(1, self._capacity(self.cards[number], self._models[number], room).jobs)

    def _usable(self, wanted: str) -> list[bool]:
        """Which cards a job with ``--device wanted`` may have."""
        only = wanted.partition(":")[2]
        return [number not in self.out and only in {"", str(number)} for number in range(len(self.cards))]

    def _hold(self, number: int, share: Fraction) -> tuple[int, ...] | None:
        """The locks of a job on a card, all or none. Without their folder, this batch counts for itself."""
        wanted = [self._parts[number]] * max(1, min(PARTS, int(share * PARTS)))
        if self._sessions is not None and self._limited[number]:
            if self._sessions_held == CONSUMER_SESSIONS:
                return None
            wanted.insert(0, self._sessions)
        held: list[int] = []
        for locks in wanted:
            try:
                descriptor = locks.take()
            except OSError as error:
                _log.debug("cards are not shared with other batches: %s", error)
                break
            if descriptor is None:
                _close(held)
                return None
            held.append(descriptor)
        return tuple(held)


def card_fault(exit_status: int | None, report: Mapping[str, Any] | None) -> str | None:
    """What a card did wrong to a job that ran on it: empty for nothing; None where that cannot be told."""
    if exit_status == 0 and report is not None:
        device = report.get("device")
        used = device.get("composed_on") if isinstance(device, Mapping) else None
        if not isinstance(used, Sequence) or not used:
            return None
        if all(str(name).startswith("cuda") for name in used):
            return ""
        if any(str(name).startswith("cuda") for name in used):
            return "parts of the picture had to be composed on the CPU"
        return str(device["why"]) if isinstance(device, Mapping) and device.get("why") else "it composed nothing"
    if exit_status == _RENDERING_FAILED or (exit_status is not None and exit_status < 0):
        return "jobs on it failed"
    return None


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
