"""A job is a list of named steps: each takes the value of the one before and returns the next."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owtmix.base.cleanup import TemporaryPaths
from owtmix.base.errors import DestinationError
from owtmix.base.progress import Progress
from owtmix.base.shortage import machine_error
from owtmix.jobs.announcer import Announcer
from owtmix.jobs.request import JobRequest
from owtmix.jobs.state import PROBES
from owtmix.workers.base import Executor
from owtmix.workers.card_holds import CardHolds
from owtmix.workers.cluster_link import ClusterLink

_log = logging.getLogger(__name__)


Hide = Callable[[Iterable[str | None]], None]
"""Takes secrets, which must never be written anywhere."""


def hide_nothing(_: Iterable[str | None]) -> None:
    """For runs without a log."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job: its request, and the services that its steps use.

    ``work`` is the job's work folder, or a temporary one; what is fetched goes to ``inputs`` in it. ``state`` is the
    folder for the state of all jobs. ``cluster`` composes, too. ``holds`` has what the job holds of a card; None where
    its caller holds that. ``hide`` is given the secrets of what the job refers to.
    """

    request: JobRequest
    executor: Executor
    announcer: Announcer
    progress: Progress
    temporary: TemporaryPaths
    work: Path
    state: Path
    cluster: ClusterLink | None = None
    holds: CardHolds | None = None
    hide: Hide = hide_nothing

    @property
    def probes(self) -> Path:
        """The folder in which measurements of recordings are kept."""
        return self.state / PROBES

    @property
    def inputs(self) -> Path:
        """The folder for what is fetched."""
        return self.work / "inputs"

    @property
    def chunks(self) -> Path:
        """The folder of the chunk cache; there is none in a temporary work folder."""
        return self.work / "chunks"

    @property
    def tracks(self) -> Path:
        """The folder for what tasks make."""
        return self.work / "tracks"


@dataclass(frozen=True, slots=True)
class Step:
    """A step. Its time counts for ``stage`` in the result."""

    name: str
    stage: str
    do: Callable[[JobRun, Any], Any]


def run_steps(steps: Sequence[Step], run: JobRun, value: Any) -> tuple[Any, dict[str, float]]:
    """Do ``steps`` in order; returns the last one's value, and the seconds of each stage.

    Raises:
        MixError: of any kind.
    """
    seconds: dict[str, float] = {}
    for step in steps:
        start = time.monotonic()
        with disk_errors():
            value = step.do(run, value)
        took_s = time.monotonic() - start
        _log.debug("step %s took %.3f s", step.name, took_s)
        seconds[step.stage] = round(seconds.get(step.stage, 0.0) + took_s, 3)
    return value, seconds


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn an error of the system that nothing else has explained into one that says what to change.

    Folders are removed, unmounted and filled while a job runs; any step may find that.

    Raises:
        DestinationError: the disk takes no more, or a folder is gone.
        ShortageError: the machine is short of something else.
    """
    try:
        yield
    except OSError as error:
        if found := machine_error(error):
            raise found from None
        _log.debug("an error of the disk", exc_info=True)
        where = error.filename or "the work folder or the output's folder"
        hint = ": it was removed while the job ran" if error.errno == errno.ENOENT else ""
        raise DestinationError(f"{where} cannot be used: {error.strerror or error}{hint}") from None
