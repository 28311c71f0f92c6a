"""A task that is done alone ends in a way that says something about the task, or the job fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from owtmix.base.errors import InputError, ShortageError
from owtmix.workers.alone import SHORTAGES, do_alone
from owtmix.workers.base import Death, DeathKind, Outcome
from tests.workers.tasks import Echo

TASK = Echo()
DONE = Outcome(TASK, value="done")
CRASHED = Outcome(TASK, death=Death(DeathKind.CRASHED, "crashes (SIGSEGV)"))
KILLED = Outcome(TASK, death=Death(DeathKind.KILLED, "is killed from outside (SIGKILL)"))
STALLED = Outcome(TASK, death=Death(DeathKind.STALLED, "waits for a disk"))
UNSTARTED = Outcome(TASK, death=Death(DeathKind.UNSTARTED, "ends with status 1 before it begins"))
SHORT = Outcome(TASK, error=ShortageError("memory is short"))
REFUSED = Outcome(TASK, error=InputError("is empty"))


class Script:
    """An executor whose tasks end as told, one after the other."""

    confinement: tuple[str, ...] = ()

    def __init__(self, *outcomes: Outcome[Any]) -> None:
        self.outcomes = list(outcomes)

    def allow(self, **_: Any) -> None:
        """Nothing is confined."""

    def run(self, tasks: Any, *_: Any, alone: bool = False, most: int | None = None, **__: Any) -> Iterator[Any]:
        assert (list(tasks), alone, most) == ([TASK], True, 1)
        yield self.outcomes.pop(0)


def ends(*outcomes: Outcome[Any]) -> Outcome[Any]:
    """How the task ends; all of ``outcomes`` are needed for that."""
    script = Script(*outcomes)
    found = do_alone(script, TASK, sleep=lambda _: None)
    assert not script.outcomes
    return found


@pytest.mark.parametrize("outcome", [DONE, REFUSED], ids=["value", "error"])
def test_an_answer_counts_at_once(outcome: Outcome[Any]) -> None:
    assert ends(outcome) is outcome


def test_a_death_counts_the_second_time() -> None:
    assert ends(CRASHED, CRASHED) is CRASHED
    assert ends(CRASHED, DONE) is DONE


@pytest.mark.parametrize("lack", [KILLED, STALLED, UNSTARTED, SHORT], ids=["killed", "stalled", "unstarted", "short"])
def test_what_the_machine_lacks_never_counts(lack: Outcome[Any]) -> None:
    assert ends(lack, lack, lack, DONE) is DONE
    assert ends(lack, CRASHED, lack, CRASHED) is CRASHED
    with pytest.raises(ShortageError, match=f"the task was tried {SHORTAGES} times, and .") as raised:
        ends(*[lack] * SHORTAGES)
    assert raised.value.exit_status == 4


def test_pauses_between_attempts_grow() -> None:
    pauses: list[float] = []
    do_alone(Script(*[KILLED] * (SHORTAGES - 1), DONE), TASK, sleep=pauses.append)
    assert pauses == sorted(pauses)
    assert len(pauses) == SHORTAGES - 1
