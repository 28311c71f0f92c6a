"""Runs attempts as children of this process. Each holds a place, which all batches of this machine share."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from owtmix.base.wording import counted
from owtmix.batch.admission import Admission
from owtmix.batch.attempt import Attempt, Ended, JobProgress
from owtmix.batch.beginning import Blame, blame
from owtmix.batch.cards import Cards, CardSlot
from owtmix.batch.child_run import ChildRun
from owtmix.batch.command import Program
from owtmix.batch.silence import LONGEST_S, Silence
from owtmix.batch.waiting import Waiting

_log = logging.getLogger(__name__)

KILL_S: Final = 5.0
"""How long a run that was asked to end may take."""


class SharedPlaces(Protocol):
    """What ``owtmix.workers.places.Places`` offers."""

    def take(self) -> int | None:
        """A descriptor that holds a place; None where all are taken, or somebody else waits for longer."""

    def held(self) -> int:
        """How many places are held, by whomever."""

    def wait(self) -> AbstractContextManager[None]:
        """Stand in line meanwhile."""


@dataclass(frozen=True, slots=True)
class _Running:
    attempt: Attempt
    run: ChildRun
    slot: CardSlot | None


class LocalRunner:
    """At most ``jobs`` at a time, each with a place, as far as memory and disk go; one always runs."""

    def __init__(
        self,
        program: Program,
        jobs: int,
        places: SharedPlaces | None,
        admission: Admission,
        cards: Cards | None = None,
        longest_silence_s: float = LONGEST_S,
    ) -> None:
        self.host = socket.gethostname()
        self._program = program
        self._jobs = jobs
        self._places = places
        self._admission = admission
        self._cards = cards
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, _Running] = {}
        self._slot: CardSlot | None = None
        self._held: int | None = None
        self._in_line = ExitStack()
        self._waiting = Waiting()
        self._is_short = False
        self._is_waiting = False
        self._failed: list[Ended] = []
        self._kill_at_s: float | None = None
        self._silence = Silence()
        self._longest_silence_s = longest_silence_s
        self._hung: dict[int, str] = {}
        self._short: set[str] = set()

    @property
    def hosts(self) -> Collection[str]:
        return (self.host,)

    @property
    def busy_places(self) -> int:
        with suppress(OSError):
            if self._places:
                return self._places.held()
        return len(self._running)

    def can_begin(self, attempt: Attempt) -> bool:
        """As ``Runner.can_begin``. The place and the card that were found are kept until ``begin`` or ``wait``."""
        if len(self._running) >= self._jobs or self.host in attempt.avoid or self._is_short or self._failed:
            return False
        others = {running.run.pid: running.attempt for running in self._running.values()}
        if others and (attempt.exclusive or any(other.exclusive for other in others.values())):
            return False
        if lacking := self._admission.lacking(attempt, others):
            self._waiting.note(f" for {lacking}")
            return False
        return self._has_card(attempt) and self._has_place()

    def begin(self, attempt: Attempt) -> None:
        """As ``Runner.begin``. What cannot be begun ends as if it had run: rejected, or on a machine not set up."""
        slot, self._slot = self._slot, None
        keep = [self._held] if self._held is not None else []
        self._held = None
        self._waiting.end()
        program = self._program
        if slot:
            attempt = replace(attempt, device=slot.device, card=slot.card)
            if slot.card is not None:  # a further worker would open a session and take memory that nobody counted
                program = replace(program, places=None)
        command = program.arguments(attempt)
        try:
            run = ChildRun(
                command,
                attempt.log,
                title=f"{attempt.job.id}, attempt {attempt.number}",
                keep=[*keep, *(slot.descriptors if slot else ())],
                environment=slot.environment if slot else {},
            )
        except (OSError, ValueError) as error:
            self._release(slot)
            self._fail(attempt, blame(error, command))
            return
        finally:
            for descriptor in keep:
                os.close(descriptor)
        if slot:
            slot.let_go()
        self._running[run.pidfd] = _Running(attempt, run, slot)
        self._silence.hear(run.pidfd)
        for descriptor in (run.pidfd, *run.pipes):
            self._selector.register(descriptor, selectors.EVENT_READ, run.pidfd)

    def wait(self, timeout_s: float) -> list[Ended]:
        self._tidy()
        ended, self._failed = self._failed, []
        if ended:
            return ended
        if not self._running:
            time.sleep(timeout_s)
            return []
        if self._kill_at_s is not None:
            timeout_s = min(timeout_s, max(0.0, self._kill_at_s - time.monotonic()))
        for key, _ in self._selector.select(timeout_s):
            running = self._running.get(key.data)
            if running is None:  # a pipe of a run whose end was taken just before
                continue
            if key.fd == key.data:
                ended.append(self._end(running))
            elif running.run.read(key.fd):
                self._silence.hear(key.data)
            else:
                self._selector.unregister(key.fd)
        self._kill_late()
        self._kill_silent()
        return ended

    def progress(self) -> Mapping[str, JobProgress]:
        return {
            running.attempt.job.id: replace(running.run.messages.progress, silent_s=self._silence.of(number))
            for number, running in self._running.items()
        }

    def stop(self) -> None:
        self._kill_at_s = time.monotonic() + KILL_S
        for running in self._running.values():
            running.run.stop()

    def close(self) -> None:
        for running in [*self._running.values()]:
            running.run.kill()
            self._end(running)
        self._is_short = False
        self._tidy()
        self._selector.close()

    def _fail(self, attempt: Attempt, found: Blame) -> None:
        """Take the end of an attempt that could not be begun. What runs beside it shows how much the machine takes."""
        self._failed.append(Ended(attempt, found.exit_status, error=found.reason, node=self.host))
        if found.is_shortage:
            self._begin_fewer(found.reason)

    def _begin_fewer(self, reason: str) -> None:
        if 0 < len(self._running) < self._jobs:
            self._jobs = len(self._running)
            _log.warning("%s: from now on at most %s at a time", reason, counted(self._jobs, "job"))

    def _has_card(self, attempt: Attempt) -> bool:
        if self._cards is None:
            return True
        self._release(self._slot)
        self._slot = self._cards.place(attempt.device or attempt.job.device, self._cards.room_of(attempt.job.id))
        return self._slot is not None

    def _has_place(self) -> bool:
        if self._places is None or self._held is not None:
            return True
        try:
            self._held = self._places.take()
        except OSError:  # the folder is gone: this batch keeps to its own number of jobs
            return True
        if self._held is None:
            self._is_short = True
            if not self._is_waiting:
                self._is_waiting = True
                with suppress(OSError):
                    self._in_line.enter_context(self._places.wait())
            by = "other batches and further workers" if self._running else "other batches"
            self._waiting.note(f": all places are taken by {by}")
            return False
        self._leave_line()  # for the next one it stands at the end again
        return True

    def _tidy(self) -> None:
        """Give back what ``can_begin`` took in vain; wait for a place no longer when no job does."""
        if self._held is not None:
            os.close(self._held)
        self._held = None
        self._release(self._slot)
        self._slot = None
        if not self._is_short:
            self._leave_line()
        self._is_short = False

    def _leave_line(self) -> None:
        self._is_waiting = False
        self._in_line.close()

    def _release(self, slot: CardSlot | None) -> None:
        if slot and self._cards:
            self._cards.release(slot)

    def _kill_late(self) -> None:
        if self._kill_at_s is not None and time.monotonic() >= self._kill_at_s:
            self._kill_at_s = None
            for running in self._running.values():
                running.run.kill()

    def _kill_silent(self) -> None:
        self._silence.look()
        for number, running in self._running.items():
            if number not in self._hung and (silent_s := self._silence.of(number)) >= self._longest_silence_s:
                self._hung[number] = f"it said nothing for {silent_s:.0f} s and was killed"
                running.run.kill()

    def _end(self, running: _Running) -> Ended:
        run, slot = running.run, running.slot
        del self._running[run.pidfd]
        for descriptor in (run.pidfd, *run.pipes):
            with suppress(KeyError):
                self._selector.unregister(descriptor)
        self._silence.forget(run.pidfd)
        hung = self._hung.pop(run.pidfd, "")
        end = run.finish()
        if slot and self._cards and (why := self._cards.judge(slot, end.exit_status, end.report)):
            _log.warning("%s", why)
        self._release(slot)
        ended = Ended(
            running.attempt,
            end.exit_status,
            end.report,
            hung or end.error,
            self.host,
            end.wall_s,
            end.cpu_s,
            end.peak_mib,
        )
        job = running.attempt.job.id
        if ended.is_shortage and job not in self._short:  # one that is always short must not stop all others
            self._short.add(job)
            self._begin_fewer(ended.error)
        return ended
