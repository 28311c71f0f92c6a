"""What a job that chooses its card by itself holds of the cards of this machine, by locks on files, as in ``Places``.

It holds parts of its card, by which others see that it runs there, and a session of the card's encoder where the driver
limits them. It waits for a session rather than encode on the CPU: so its bytes do not depend on what else runs.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from owtmix.workers.card_list import ListedCard
from owtmix.workers.card_models import CONSUMER_SESSIONS, model_of
from owtmix.workers.places import Places

PARTS: Final = 60
"""Locks of a card: a job takes its share of them. Most numbers of jobs divide it."""
SESSIONS: Final = "nvenc"
OWN_PARTS: Final = 10
"""What a job holds that no batch has placed: about the share of a typical one."""
MOST_SESSIONS: Final = CONSUMER_SESSIONS // 2
"""Of one job, so that another one finds some."""
LOOK_EVERY_S: Final = 0.5
_CHOICE: Final = "card-choice"
_CHOICE_S: Final = 5.0
"""Choosing takes milliseconds: a process that does so for longer was stopped, and is not waited for."""
_CHOICE_STEP_S: Final = 0.01

_log = logging.getLogger(__name__)

OpenLocks = Callable[[int, str], Places]
"""Opens so many locks by their name."""


def parts_of(uuid: str) -> str:
    """The name of the locks of a card."""
    return f"card-{uuid}"


class CardHolds:
    """What a job holds, until the context ends. Where locks cannot be used, it holds nothing, and goes on."""

    def __init__(self, locks: OpenLocks = Places.of_machine, sleep: Callable[[float], None] = time.sleep) -> None:
        self._locks = locks
        self._sleep = sleep
        self._card: ListedCard | None = None
        self._parts: list[int] = []
        self._sessions: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()

    @property
    def card(self) -> str:
        """The UUID of the card of which parts are held; empty where there is none."""
        return self._card.uuid if self._card else ""

    @property
    def sessions(self) -> int:
        """How many sessions are held."""
        return len(self._sessions)

    def let_go(self) -> None:
        """Hold nothing any more."""
        self.keep(None)
        self.give_back_sessions()

    def least_loaded(self, cards: Sequence[ListedCard], needed_mib: int, before: str = "") -> list[ListedCard]:
        """The cards, the least loaded first, of which parts are held now: whoever looks next sees them.

        Cards with less than ``needed_mib`` of free memory come last. Of the others those come first of which jobs hold
        the fewest parts, and then those with the most free memory. The one that an earlier run of the job had
        ``before`` comes before all, whatever its load is.
        """
        with self._choosing():
            held = {card.uuid: self._held(card) for card in cards}
            by_load = sorted(cards, key=lambda card: (card.free_mib < needed_mib, held[card.uuid], -card.free_mib))
            ordered = sorted(by_load, key=lambda card: card.uuid != before)
            self.keep(ordered[0])
        first = ordered[0]
        _log.info(
            "of %d cards %s (%s) %s: other jobs hold %d of its %d parts, and %d MiB of its memory are free",
            *(len(cards), first.name, first.uuid),
            "is that of the earlier run" if first.uuid == before else "is the least loaded",
            *(held[first.uuid], PARTS, first.free_mib),
        )
        return ordered

    def keep(self, card: ListedCard | None) -> None:
        """Hold parts of this card, and of no other."""
        if card == self._card:
            return
        self._card, before = card, self._parts
        self._parts = []
        _close(before)
        if card:
            with suppress(OSError):
                locks = self._locks(PARTS, parts_of(card.uuid))
                while len(self._parts) < OWN_PARTS and (held := locks.take()) is not None:
                    self._parts.append(held)

    def wait_for_session(self) -> None:
        """Hold a session; wait as long as other jobs hold all."""
        try:
            sessions = self._locks(CONSUMER_SESSIONS, SESSIONS)
            if (held := sessions.take()) is None:
                _log.warning(
                    "waits for a session of the card's encoder: other jobs hold all %d; --device cpu waits for none",
                    CONSUMER_SESSIONS,
                )
                with sessions.wait():
                    while (held := sessions.take()) is None:
                        self._sleep(LOOK_EVERY_S)
            self._sessions.append(held)
        except OSError as error:
            _log.debug("no session is held: %s", error)

    def more_sessions(self, wanted: int) -> int:
        """Hold up to ``wanted`` sessions, at most ``MOST_SESSIONS``, without waiting; returns how many may be used."""
        most = min(wanted, MOST_SESSIONS)
        try:
            sessions = self._locks(CONSUMER_SESSIONS, SESSIONS)
            while len(self._sessions) < most and (held := sessions.take_spare()) is not None:
                self._sessions.append(held)
        except OSError:
            return most
        return max(1, len(self._sessions))

    def give_back_sessions(self) -> None:
        """Hold no session any more."""
        given, self._sessions = self._sessions, []
        _close(given)

    def _held(self, card: ListedCard) -> int:
        """How many parts of a card are held."""
        try:
            return self._locks(PARTS, parts_of(card.uuid)).held()
        except OSError:
            return 0

    @contextmanager
    def _choosing(self) -> Iterator[None]:
        """Meanwhile nobody else chooses."""
        turn: list[int] = []
        with suppress(OSError):
            choice = self._locks(1, _CHOICE)
            for _ in range(int(_CHOICE_S / _CHOICE_STEP_S)):
                if (held := choice.take()) is not None:
                    turn.append(held)
                    break
                self._sleep(_CHOICE_STEP_S)
        try:
            yield
        finally:
            _close(turn)


def may_need_session(cards: Sequence[ListedCard]) -> bool:
    """Whether an encoder of one of the cards takes a session that is held before; so it may be where none is listed."""
    return not cards or any(model_of(card.name).needs_session for card in cards)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
