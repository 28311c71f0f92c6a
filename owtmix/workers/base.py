"""Tasks, and the protocol of an executor that does them.

Tasks are pickled on their way to a worker. Workers read hostile media, so no reply of a worker is ever unpickled:
results come back as JSON (``protocol.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, runtime_checkable

from owtmix.base.errors import (
    ChangedError,
    DestinationError,
    EncoderLost,
    InputError,
    MixError,
    RenderError,
    ShortageError,
)

ERRORS: Final[dict[str, type[MixError]]] = {
    kind.__name__: kind
    for kind in (InputError, ChangedError, RenderError, EncoderLost, ShortageError, DestinationError)
}
"""The errors that a task may raise, by name."""


@dataclass(frozen=True, slots=True)
class Replies:
    """What a task may reply: a result of at most ``result_bytes`` of JSON, or one of ``errors``, by name.

    A worker that hostile media has taken over may reply anything else; then it has violated the protocol.
    """

    result_bytes: int = 1 << 16
    errors: frozenset[str] = frozenset(ERRORS)

    @classmethod
    def of(cls, *errors: type[MixError], result_bytes: int = 1 << 16) -> Replies:
        """Those of a task that raises ``errors`` and those that every task may raise."""
        return cls(result_bytes, frozenset(kind.__name__ for kind in (*errors, RenderError, ShortageError)))


@runtime_checkable
class Bounded(Protocol):
    """A task that tells what it may ``reply``, and knows what its results can be."""

    replies: ClassVar[Replies]

    def check(self, value: Any) -> None:
        """Check a result, and the files that came with it, in the parent.

        Raises:
            ValueError: this task has no such result; the message completes "its result ...".
        """


@runtime_checkable
class Long(Protocol):
    """A task that may take ``longest_s`` seconds on the slowest machine, beside the hour that any may take."""

    @property
    def longest_s(self) -> float: ...


class TaskReporter(Protocol):
    """How a task reports to its executor while it runs. May be called from any thread."""

    def advance(self, done_s: float) -> None:
        """Report progress: ``done_s`` seconds of media are done. Call it often: a silent task counts as hung."""

    def checkpoint(self, done_s: float) -> None:
        """Report progress that is never dropped. When the task dies, its last checkpoint is known."""

    def heartbeat(self) -> None:
        """Report that the task is alive without progress: it waits for a file, or a read takes long."""

    def warn(self, message: str) -> None:
        """Report a warning for the user."""


class Task(Protocol):
    """A picklable piece of work. ``result`` is the type that ``run`` returns, for pydantic to validate."""

    result: ClassVar[Any]

    @property
    def name(self) -> str:
        """The task in messages, as in "the sound"."""

    def run(self, reporter: TaskReporter) -> Any:
        """Do the work.

        Raises:
            MixError: one of ``ERRORS``.
        """


TaskT = TypeVar("TaskT", bound=Task)
TaskT_co = TypeVar("TaskT_co", bound=Task, covariant=True)


class TaskQueue(Protocol[TaskT_co]):
    """Tasks to be done. Its length is the number of tasks not yet taken; at 0 no more will come."""

    def __len__(self) -> int: ...

    @property
    def useful(self) -> int | None:
        """How many workers have something to do now; None for any number."""

    def take(self, worker: int) -> TaskT_co | None:
        """The next task for the worker with this number; None when it has to wait."""

    def is_spent(self, worker: int) -> bool:
        """Whether the worker with this number, which has no task, must get no more: a new one takes its place."""


class DeathKind(Enum):
    """Why a worker ended before its task did."""

    CRASHED = "crashed"
    KILLED = "killed"
    """By a signal from outside: the system was short of memory or has a limit, or a person sent it. Says nothing about
    the task."""
    EXITED = "exited"
    HUNG = "hung"
    UNSTARTED = "unstarted"
    """Before it began with a task: says nothing about any."""
    STALLED = "stalled"
    """Silent while it waited for a disk, or was stopped: says nothing about the task."""
    MEMORY = "memory"
    PROTOCOL = "protocol"


_MACHINES: Final = frozenset({DeathKind.KILLED, DeathKind.UNSTARTED, DeathKind.STALLED})


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a worker before its task was done. ``words`` completes the message "its process ..."."""

    kind: DeathKind
    words: str

    @property
    def is_shortage(self) -> bool:
        """Whether the machine is to blame, and no task."""
        return self.kind in _MACHINES

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Outcome(Generic[TaskT]):
    """How a task ended: with a ``value``, with the ``error`` that it raised, or with the ``death`` of its worker.

    ``done_s`` is the last reported progress in seconds, ``warnings`` are the reported warnings, and ``took_s`` is the
    duration of the task in seconds, and ``peak_bytes`` the most resident memory that its worker has had until then.
    """

    task: TaskT
    value: Any = None
    error: MixError | None = None
    death: Death | None = None
    done_s: float = 0.0
    warnings: tuple[str, ...] = ()
    took_s: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a worker.

    Attributes:
        memory_bytes: the resident memory that it may take.
        silence_s: the longest time without a report, in seconds.
        file_bytes: the longest file that it may write.
        required: the layers of confinement (``sandbox.LAYERS``) without which it does nothing.
    """

    memory_bytes: int
    silence_s: float
    file_bytes: int = 1 << 40
    required: frozenset[str] = frozenset()


def ignore_progress(_task: object, _done_s: float) -> None:
    """A progress listener that ignores all."""


def watch_nothing() -> None:
    """A watcher that checks nothing."""


class Away(Protocol):
    """Workers elsewhere that do tasks of the same queue, while an executor does the others."""

    def fileno(self) -> int:
        """A descriptor that can be read when there is news of them."""

    @property
    def is_busy(self) -> bool:
        """Whether any of them has a task."""

    def turn(self) -> Iterator[Outcome[Any]]:
        """Hear them, and hand out tasks; yields the outcomes that came. Called several times a second."""


class Executor(Protocol):
    """Does tasks, several at a time: in processes of this machine, or on a cluster."""

    @property
    def confinement(self) -> tuple[str, ...]:
        """The layers of confinement (``sandbox.LAYERS``) that hold in the workers.

        Raises:
            RenderError: no worker can be started.
            ConfinementError: required layers are missing.
        """

    def allow(
        self,
        *,
        read: Iterable[Path] = (),
        write: Iterable[Path] = (),
        recordings: Iterable[Path] = (),
        gpu: bool | None = None,
    ) -> None:
        """Let tasks from now on read or write these files and folders, too; all others are out of their reach.

        A file that is to be written exists already; in a folder files may be made. ``recordings`` are files to be read
        where others may write, at paths whose links are resolved. ``gpu`` says whether the devices of GPUs may be used
        from now on.
        """

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
        """Do ``tasks``, in order or as the queue hands them out, and yield their outcomes as they come.

        Exhaust the iterator. With ``alone`` each task gets a new worker, so that none suffers from another; with
        ``renewed`` none is done by a worker that did one before this run. At most ``most`` are done at a time, with no
        idle worker beside them. Tasks may be silent for ``grace_s`` longer than the limit. ``watch`` is called several
        times a second; an exception in it ends the run. What it gives changes for as long as something arrives that
        tasks wait for. Tasks that report but get nowhere are ended, too, after a long time in which nothing arrives and
        no other task gets on. The outcomes of ``away`` are yielded, too, and the run ends when nobody there has a task.

        Raises:
            RenderError: no worker can be started.
            ConfinementError: required layers of confinement are missing.
        """
