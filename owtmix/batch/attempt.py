"""A job of a batch, one attempt at it, and how that ended: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from owtmix.base.errors import ShortageError
from owtmix.workers.alone import TriedEnoughError

_SHORTAGES: Final = frozenset({ShortageError.__name__, TriedEnoughError.__name__})


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One job of the queue.

    Attributes:
        id: unique in the queue; the journal and all messages call the job so.
        cfg: absolute path of the job file.
        key: changes when the job file's bytes or the options do; a finished job with another key is done again.
        overrides: JSON values as text, by their paths in the job file.
        index: as ``--index`` takes it; a local path is absolute.
        output: as ``--output`` takes it; a local path is absolute.
        device: as ``--device`` takes it.
        priority: jobs with a larger one begin first.
        cost: how long it may take, in any unit that all jobs share; None where nobody said.
    """

    id: str
    cfg: Path
    key: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    index: str | None = None
    output: str | None = None
    device: str | None = None
    priority: int = 0
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job.

    Attributes:
        job: what is run.
        number: 1 for the first attempt that counts.
        log: the file that takes the run's messages.
        device: overrides that of the job: ``cpu`` in the last attempt after composing failed.
        exclusive: nothing else of the batch runs on the host meanwhile.
        card: the number of the card that it composes on; None where nobody placed it.
        avoid: hosts on which it must not begin now.
        memory_bytes: about what it takes of the host's memory.
        disk_bytes: about what it takes of the disk with the state folder.
    """

    job: BatchJob
    number: int
    log: Path
    device: str | None = None
    exclusive: bool = False
    card: int | None = None
    avoid: frozenset[str] = frozenset()
    memory_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class JobProgress:
    """What a running job said last: its stage, how much of that is done, and for how long it has said nothing since."""

    stage: str = ""
    percent: float | None = None
    left_s: float | None = None
    silent_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended.

    Attributes:
        attempt: what was run.
        exit_status: of the process, ``-N`` when signal N ended it; None when the node was lost.
        report: the JSON document on its standard output, if it was one.
        error: why it failed, in one sentence; empty when it did not.
        node: the host that ran it.
        wall_s: how long it ran, in seconds.
        cpu_s: CPU time of its processes, in seconds.
        peak_mib: the most memory that one of its processes had.
        is_own: whether an end that says that a host is not set up only concerns this job.
    """

    attempt: Attempt
    exit_status: int | None
    report: Mapping[str, Any] | None = None
    error: str = ""
    node: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mib: int = 0
    is_own: bool = False

    @property
    def failure(self) -> str:
        """The kind of the error that the run reported, which is a name of ``owtmix.base.errors``; empty for none."""
        error = (self.report or {}).get("error")
        kind = error.get("type") if isinstance(error, Mapping) else None
        return kind if isinstance(kind, str) else ""

    @property
    def is_shortage(self) -> bool:
        """Whether the run ended for want of something that its machine has too little of."""
        return self.failure in _SHORTAGES
