"""An executor without processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from owtmix.base.errors import MixError, RenderError
from owtmix.jobfile.settings import Settings
from owtmix.jobs.job import OpenExecutor
from owtmix.workers.base import (
    ERRORS,
    Away,
    Bounded,
    Death,
    DeathKind,
    Executor,
    Outcome,
    Task,
    TaskQueue,
    TaskT,
    ignore_progress,
    watch_nothing,
)
from owtmix.workers.queues import FifoQueue

_POLL_S: Final = 0.01


@dataclass(slots=True)
class _DirectReporter:
    """Passes on what a task reports, at once."""

    on_progress: Callable[[float], None]
    on_warning: Callable[[str], None]
    done_s: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def advance(self, done_s: float) -> None:
        self.done_s = float(done_s)
        self.on_progress(self.done_s)

    def checkpoint(self, done_s: float) -> None:
        self.advance(done_s)

    def heartbeat(self) -> None:
        pass

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.on_warning(message)


class InProcessExecutor:
    """An ``Executor`` that does one task after the other in the calling process.

    Values take the way through JSON that they take from a worker. ``on_warning`` receives the warnings of tasks, and
    ``done`` the tasks themselves.
    """

    def __init__(self, on_warning: Callable[[str], None] = lambda _: None, done: list[Task] | None = None) -> None:
        self._worker = 1
        self._on_warning = on_warning
        self._done = [] if done is None else done
        self.confinement: tuple[str, ...] = ()

    def allow(
        self,
        *,
        read: Iterable[Path] = (),
        write: Iterable[Path] = (),
        recordings: Iterable[Path] = (),
        gpu: bool | None = None,
    ) -> None:
        """Nothing is confined."""

    def run(
        self,
        tasks: Iterable[TaskT] | TaskQueue[TaskT],
        on_progress: Callable[[TaskT, float], None] = ignore_progress,
        *,
        alone: bool = False,
        renewed: bool = False,
        most: int | None = None,
        grace_s: float = 0.0,
        watch: Callable[[], object] = watch_nothing,
        away: Away | None = None,
    ) -> Iterator[Outcome[TaskT]]:
        del alone, most, grace_s, away  # nothing is shared, and nothing is supervised
        queue = FifoQueue(tasks) if isinstance(tasks, Iterable) else tasks
        self._worker += renewed
        while len(queue):
            watch()
            self._worker += queue.is_spent(self._worker)
            task = queue.take(self._worker)
            if task is None:
                time.sleep(_POLL_S)
                continue
            self._done.append(task)
            yield self._do(task, on_progress)

    def _do(self, task: TaskT, on_progress: Callable[[TaskT, float], None]) -> Outcome[TaskT]:
        reporter = _DirectReporter(lambda done_s: on_progress(task, done_s), self._on_warning)
        start_s = time.monotonic()
        value: Any = None
        error: MixError | None = None
        try:
            result = TypeAdapter(task.result)
            value = result.validate_python(result.dump_python(task.run(reporter), mode="json"))
        except tuple(ERRORS.values()) as raised:
            error = raised
        except Exception as raised:  # noqa: BLE001 - as a worker does
            error = RenderError(f"{task.name} failed: {type(raised).__name__}: {raised}")
        took_s = time.monotonic() - start_s
        warnings = tuple(reporter.warnings)
        outcome = Outcome(task, value, error, done_s=reporter.done_s, warnings=warnings, took_s=took_s)
        return outcome if error else self._checked(outcome)

    def _checked(self, outcome: Outcome[TaskT]) -> Outcome[TaskT]:
        """The outcome, or a death where the task cannot have its value."""
        violation = _violation(outcome.task, outcome.value)
        return replace(outcome, value=None, death=Death(DeathKind.PROTOCOL, violation)) if violation else outcome


def _violation(task: Task, value: Any) -> str | None:
    """What a result has that its task cannot have."""
    try:
        if isinstance(task, Bounded):
            task.check(value)
    except ValueError as error:
        return f"sends a result that cannot be: it {error}"
    return None


def in_process(done: list[Task]) -> OpenExecutor:
    """For ``Job``: opens an executor without processes, which adds the tasks that it does to ``done``."""

    @contextmanager
    def open_executor(settings: Settings, warn: Callable[[str], None], workers: int | None) -> Iterator[Executor]:
        del settings, workers
        yield InProcessExecutor(warn, done)

    return open_executor
