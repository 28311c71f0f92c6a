"""What becomes of a job after an attempt, by its exit status (docs/batch.md, "What follows from an exit status").

Pure data and rules: nothing here knows processes, files or clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

State = Literal["done", "rejected", "poisoned", "again", "lost", "drained"]
FINAL: Final = frozenset({"done", "rejected", "poisoned"})
FAILED: Final = frozenset({"rejected", "poisoned"})
STATES: Final = FINAL | {"again", "lost", "drained"}

DONE: Final = 0
NOT_SET_UP: Final = 1
REJECTED: Final = 2
INPUTS: Final = 3
COMPOSING: Final = 4
DESTINATION: Final = 5
BUSY: Final = 6
INTERRUPTED: Final = 130

MOST_LOSSES: Final = 5
"""How often in a row a job may lose its node, or be stopped by somebody else, without being blamed."""
_LOSSES_BESIDE_OTHERS: Final = 3
"""After so many a job runs alone, so that those beside it are not blamed for what it does to its host."""
_SHORTAGES_BESIDE_OTHERS: Final = 2
"""After so many in a row a job runs alone: if it still lacks something then, the others are not why."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a job's attempts since it was last begun anew.

    Attributes:
        counted: how many of them count.
        losses: how often it lost its node or was stopped by somebody else, since an attempt that counts.
        killed: whether a signal ended the last one that counts.
        composing_failed: whether composing failed in the last one that counts.
        shortages: how often in a row its host was short of something; this is not recorded.
    """

    counted: int = 0
    losses: int = 0
    killed: bool = False
    composing_failed: bool = False
    shortages: int = 0

    def after(self, exit_status: int | None, *, counts: bool, loss: bool, is_shortage: bool = False) -> History:
        """The history with one attempt more."""
        if is_shortage:
            return replace(self, shortages=self.shortages + 1)
        if not counts:
            return replace(self, losses=self.losses + 1) if loss else self
        return History(self.counted + 1, 0, is_killed(exit_status), exit_status == COMPOSING)

    @property
    def turn(self) -> tuple[bool, int]:
        """Jobs with a smaller one begin first: those that did no harm."""
        return self.is_alone, self.losses

    @property
    def is_alone(self) -> bool:
        """Whether the next attempt has its host to itself: the job, or its host, was killed, and nobody else is.

        Or the host was too short of something for it, with others.
        """
        return self.killed or self.losses >= _LOSSES_BESIDE_OTHERS or self.shortages >= _SHORTAGES_BESIDE_OTHERS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from the end of an attempt.

    Attributes:
        state: of the job from now on.
        wait_s: how long it waits before it may begin again.
        counts: whether the attempt is one of those that a job has.
        loss: whether it is one of the losses that a job has.
        pause_s: how long nothing begins on that host.
    """

    state: State
    wait_s: float = 0.0
    counts: bool = True
    loss: bool = False
    pause_s: float = 0.0

    @property
    def is_asked(self) -> bool:
        """Whether the batch itself asked for that end."""
        return self.state == "drained" and not self.loss


_ALWAYS: Final[Mapping[int | None, Verdict]] = {
    DONE: Verdict("done"),
    NOT_SET_UP: Verdict("lost", 60.0, counts=False, pause_s=60.0),
    REJECTED: Verdict("rejected"),
    BUSY: Verdict("again", 30.0, counts=False),
}
_LOST: Final[Mapping[int | None, Verdict]] = {
    INTERRUPTED: Verdict("drained", 30.0, counts=False, loss=True),
    None: Verdict("lost", counts=False, loss=True),
}
_FIRST_WAITS_S: Final[Mapping[int | None, float]] = {INPUTS: 30.0, DESTINATION: 60.0}
"""Of attempts that count; each further wait is twice as long."""
_LONGEST_S: Final = 600.0


def judge(exit_status: int | None, history: History, attempts: int, *, is_asked: bool = False) -> Verdict:
    """What follows from an exit status; None: the node was lost.

    Args:
        exit_status: how the attempt ended; ``-N`` when signal N ended it.
        history: of the job before this attempt.
        attempts: how many attempts that count a job has.
        is_asked: whether the batch itself asked the attempt to stop, and it did; nobody is blamed for that.
    """
    if is_asked and exit_status == INTERRUPTED:
        return Verdict("drained", counts=False)
    if exit_status in _ALWAYS:
        return _ALWAYS[exit_status]
    if not is_counted(exit_status):
        return Verdict("poisoned", counts=False) if history.losses >= MOST_LOSSES else _LOST[exit_status]
    if history.counted + 1 >= attempts:
        return Verdict("poisoned")
    wait_s = min(_FIRST_WAITS_S.get(exit_status, 0.0) * 2.0**history.counted, _LONGEST_S)
    return Verdict("again", wait_s, pause_s=wait_s if exit_status == DESTINATION else 0.0)


def is_counted(exit_status: int | None) -> bool:
    """Whether an attempt that ended so is one of those that a job has."""
    return exit_status not in {None, NOT_SET_UP, BUSY, INTERRUPTED}


def is_killed(exit_status: int | None) -> bool:
    """Whether a signal ended the attempt, or it ended in a way that no run of ``owt-main`` chooses."""
    return exit_status is not None and exit_status not in {0, 1, 2, 3, 4, 5, 6, 130}


def is_stopped(exit_status: int | None) -> bool:
    """Whether an attempt that was asked to stop did so, and what it failed with may come from that."""
    return exit_status not in {None, DONE, REJECTED}


def device_of(history: History, attempts: int) -> str | None:
    """The device that the next attempt uses in place of the job's own: the last one after composing failed."""
    last = history.counted + 1 >= attempts
    return "cpu" if history.composing_failed and last else None


def reason_of(exit_status: int | None) -> str:
    """One word for how an attempt ended, for counting."""
    return _REASONS.get(exit_status, "killed")


_REASONS: Final[Mapping[int | None, str]] = {
    None: "node",
    DONE: "done",
    NOT_SET_UP: "setup",
    REJECTED: "rejected",
    INPUTS: "inputs",
    COMPOSING: "composing",
    DESTINATION: "destination",
    BUSY: "busy",
    INTERRUPTED: "interrupted",
}
