"""The command of one attempt: ``owt-main`` of the same installation, with the options that a batch gives to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from owtmix.batch.attempt import Attempt


def own_program() -> tuple[str, ...]:
    """The command of this installation's ``owt-main``."""
    return sys.executable, "-P", "-m", "owtmix"


@dataclass(frozen=True, slots=True)
class Program:
    """What is run, and what all attempts have in common.

    Attributes:
        command: ``owt-main``.
        state: its state folder; None for that of the installation.
        places: the folder with the places that jobs share; None where they share none.
        place_count: how many places there are.
        workers: processes that each job composes with.
    """

    command: Sequence[str]
    state: Path | None = None
    places: Path | None = None
    place_count: int = 1
    workers: int = 1

    def arguments(self, attempt: Attempt, parent: int | None = None) -> list[str]:
        """The whole command of an attempt, which ends with the process ``parent``, by default this one."""
        job = attempt.job
        device = attempt.device or job.device
        return [
            *self.command,
            "--json",
            "--quiet",
            "--progress=json",
            f"--parent={parent or os.getpid()}",
            *([f"--state={self.state}"] if self.state else []),
            f"--workers={self.workers}",
            "--decode-threads=1",
            *([f"--places={self.places}", f"--place-count={self.place_count}"] if self.places else []),
            *(["--card-is-held"] if attempt.card is not None else []),
            "--no-wait",
            *(f"--set={path}={value}" for path, value in job.overrides.items()),
            *([f"--index={job.index}"] if job.index else []),
            *([f"--output={job.output}"] if job.output else []),
            *([f"--device={device}"] if device else []),
            str(job.cfg),
        ]

    def resending(self) -> list[str]:
        """The command that delivers the callbacks that jobs left."""
        state = [f"--state={self.state}"] if self.state else []
        return [*self.command, "--quiet", "--json", f"--parent={os.getpid()}", *state, "--resend", "--all"]
