"""What parent and child agree on: tasks go down pickled, news come up as lines of JSON.

The child reads hostile media, so the parent never unpickles what it says.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from owtmix.base.errors import DestinationError, EncoderLost, InputError, MixError, RenderError

ERRORS: dict[str, type[MixError]] = {
    kind.__name__: kind for kind in (InputError, RenderError, EncoderLost, DestinationError)
}
"""The errors that a task may raise."""


class TaskReporter(Protocol):
    """How a task tells the parent that it is alive and what it noticed. Any thread may call it."""

    def advance(self, done_s: float) -> None:
        """``done_s`` seconds of media are done; call it often: a task without news for long counts as hung."""

    def checkpoint(self, done_s: float) -> None:
        """Like ``advance``, and told for certain: should the child die, it died behind the last mark."""

    def heartbeat(self) -> None:
        """Nothing is done yet: something is still to come, or much to be read; call it now and then, as ``advance``."""

    def warn(self, message: str) -> None:
        """Something that the user should know."""


class Task(Protocol):
    """A piece of work, picklable. ``result`` is the type of what ``run`` returns; pydantic must know it."""

    result: ClassVar[Any]

    @property
    def name(self) -> str:
        """For people."""

    def run(self, reporter: TaskReporter) -> Any:
        """Do the work.

        Raises:
            MixError: one of ``ERRORS``.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What a task may use before it is killed: resident memory, and seconds without news."""

    memory_bytes: int
    silence_s: float


KILLED: Final = f"crashes ({signal.SIGKILL.name})"
"""How a child ends that the system killed, short of memory, or a person: not what it did, but that it was there."""


TaskT = TypeVar("TaskT", bound=Task)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[TaskT]):
    """How a task ended: with a value, with an error it raised, or with the death of its child (``death`` says how).

    ``done_s`` is the last progress that was heard of, ``warnings`` what it warned of, ``took_s`` how long it took.
    """

    task: TaskT
    value: Any = None
    error: MixError | None = None
    death: str | None = None
    done_s: float = 0.0
    warnings: tuple[str, ...] = ()
    took_s: float = 0.0
