"""An executor that does other tasks in place of those it is given, for tests in which tasks fail."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from owtmix.jobfile.settings import Settings
from owtmix.jobfile.settings_file import INSTALLATION
from owtmix.jobs.job import OpenExecutor
from owtmix.jobs.worker_server import open_workers
from owtmix.workers.base import Away, Executor, Outcome, TaskQueue, ignore_progress, watch_nothing

Replace = Callable[[Any], Any]
"""Returns the task to do in place of another, or that one itself."""


class _ReplacedQueue:
    """A queue that hands out the replacements of its tasks."""

    def __init__(self, queue: TaskQueue[Any], exchange: Replace) -> None:
        self._queue = queue
        self._exchange = exchange

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def useful(self) -> int | None:
        return self._queue.useful

    def is_spent(self, worker: int) -> bool:
        return self._queue.is_spent(worker)

    def take(self, worker: int) -> Any:
        task = self._queue.take(worker)
        return None if task is None else self._exchange(task)


class ReplacingExecutor:
    """Does ``replace_task(task)`` with ``executor`` for each task, and reports outcomes of the original tasks."""

    def __init__(self, executor: Executor, replace_task: Replace) -> None:
        self._executor = executor
        self._replace_task = replace_task
        self.allow = executor.allow

    @property
    def confinement(self) -> tuple[str, ...]:
        return self._executor.confinement

    def run(
        self,
        tasks: Iterable[Any] | TaskQueue[Any],
        on_progress: Callable[[Any, float], None] = ignore_progress,
        *,
        alone: bool = False,
        renewed: bool = False,
        most: int | None = None,
        grace_s: float = 0.0,
        watch: Callable[[], object] = watch_nothing,
        away: Away | None = None,
    ) -> Iterator[Outcome[Any]]:
        assert away is None, "what goes elsewhere is not replaced"
        originals: dict[int, tuple[Any, Any]] = {}

        def exchange(task: Any) -> Any:
            done = self._replace_task(task)
            originals[id(done)] = done, task  # holds both, so that no other task gets this id
            return done

        work: Iterable[Any] | TaskQueue[Any]
        work = [exchange(task) for task in tasks] if isinstance(tasks, Iterable) else _ReplacedQueue(tasks, exchange)

        def advance(task: Any, done_s: float) -> None:
            on_progress(originals[id(task)][1], done_s)

        options: dict[str, Any] = {"most": most, "grace_s": grace_s, "watch": watch}
        for outcome in self._executor.run(work, advance, alone=alone, renewed=renewed, **options):
            yield replace(outcome, task=originals[id(outcome.task)][1])


def replacing(replace_task: Replace) -> OpenExecutor:
    """For ``Job``: opens workers that do ``replace_task(task)`` in place of each task."""

    @contextmanager
    def open_executor(settings: Settings, warn: Callable[[str], None], workers: int | None) -> Iterator[Executor]:
        with open_workers(settings, warn, workers) as pool:
            # The other tasks are in modules of the tests, and leave marks beside recordings.
            pool.allow(read=[INSTALLATION], write=[Path(tempfile.gettempdir())])
            yield ReplacingExecutor(pool, replace_task)

    return open_executor
