"""Tries again what the machine was too short for, and does a task alone until its end says something about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from owtmix.base.errors import ShortageError
from owtmix.workers.base import Executor, Outcome, TaskT, watch_nothing

T = TypeVar("T")

SHORTAGES: Final = 7
"""How often a task may end for want of something, or by a kill from outside, before the job fails."""
LONGEST_PAUSE_S: Final = 4.0


class TriedEnoughError(ShortageError):
    """A ``ShortageError`` of something that was tried often enough."""


def pause_after(shortages: int) -> float:
    """Seconds to wait after so many shortages: what is short may be there again soon."""
    return min(0.25 * (1 << shortages - 1), LONGEST_PAUSE_S)


def shortage_of(outcome: Outcome[TaskT]) -> str | None:
    """What the machine was short of when a task ended, as a clause; None where it was not."""
    if isinstance(outcome.error, ShortageError):
        return str(outcome.error)
    return f"its process {outcome.death}" if outcome.death and outcome.death.is_shortage else None


def patiently(name: str, attempt: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """The result of ``attempt``, which is repeated, with pauses, as long as it ends with a ``ShortageError``.

    Raises:
        ShortageError: it did ``SHORTAGES`` times; the message is about ``name``.
    """
    count = 0
    while True:
        try:
            return attempt()
        except ShortageError as lack:
            count += 1
            if isinstance(lack, TriedEnoughError):
                raise
            if count == SHORTAGES:
                raise TriedEnoughError(f"{name} was tried {count} times, and {lack}") from lack
            sleep(pause_after(count))


def do_alone(
    executor: Executor,
    task: TaskT,
    watch: Callable[[], object] = watch_nothing,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome[TaskT]:
    """Do ``task`` in a worker of its own, with no other beside it. ``watch`` is as for ``Executor.run``.

    It is repeated when the machine was to blame, and once when its worker died: only a second death counts.

    Raises:
        ShortageError: the machine was to blame ``SHORTAGES`` times.
    """

    def attempt() -> Outcome[TaskT]:
        (outcome,) = executor.run([task], alone=True, most=1, watch=watch)
        if lack := shortage_of(outcome):
            raise ShortageError(lack)
        return outcome

    first = patiently(task.name, attempt, sleep)
    return patiently(task.name, attempt, sleep) if first.death else first
