"""Does a task alone, until how it ends says something about the task, and not about the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from owtmix.base.errors import ShortageError
from owtmix.workers.base import Executor, Outcome, TaskT

SHORTAGES: Final = 7
"""How often a task may end for want of something, or by a kill from outside, before the job fails."""
LONGEST_PAUSE_S: Final = 4.0


def pause_after(shortages: int) -> float:
    """Seconds to wait after so many shortages: what is short may be there again soon."""
    return min(0.25 * (1 << shortages - 1), LONGEST_PAUSE_S)


def shortage_of(outcome: Outcome[TaskT]) -> str | None:
    """What the machine was short of when a task ended, as a clause; None where it was not."""
    if isinstance(outcome.error, ShortageError):
        return str(outcome.error)
    return f"its process {outcome.death}" if outcome.death and outcome.death.is_shortage else None


def do_alone(executor: Executor, task: TaskT, sleep: Callable[[float], None] = time.sleep) -> Outcome[TaskT]:
    """Do ``task`` in a worker of its own, with no other beside it.

    It is repeated when the machine was to blame, and once when its worker died: only a second death counts.

    Raises:
        ShortageError: the machine was to blame ``SHORTAGES`` times.
    """
    shortages = 0
    deaths = 0
    while True:
        try:
            (outcome,) = executor.run([task], alone=True, most=1)
        except ShortageError as error:  # no worker could be started
            outcome = Outcome(task, error=error)
        if lack := shortage_of(outcome):
            shortages += 1
            if shortages == SHORTAGES:
                raise ShortageError(f"{task.name} was tried {shortages} times, and {lack}")
            sleep(pause_after(shortages))
        elif outcome.death and not deaths:
            deaths += 1
        else:
            return outcome
