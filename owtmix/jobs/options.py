"""The options of a job: what the command line, or a caller of the public API, adds to a job file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from owtmix.base.errors import Problem, SpecError

MAX_WORKERS: Final = 999
MIN_CHUNK_S: Final = 2
MAX_CHUNK_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a job.

    Attributes:
        index: key of the index in the input store. With ``/``, ``./`` or ``../`` at its start it is a local path.
        output: key of the output in the output store, in place of ``FileNamePrefix``, or a local path likewise.
        strict: a recording that is missing or cannot be read is an error.
        overrides: values by their JSON paths, in place of those of the job file.
        workers: processes that compose; None for as many as there are processors.
        chunk_s: least length of a chunk in seconds, in place of the setting.
        fresh: finished chunks of earlier runs are not used.
        device: composes the picture: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        SpecError: a value is not accepted.
    """

    index: str | None = None
    output: str | None = None
    strict: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    chunk_s: Fraction | None = None
    fresh: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        problems = []
        if self.workers is not None and self.workers not in range(1, MAX_WORKERS + 1):
            problems.append(Problem("workers", f"{self.workers} is not a number from 1 to {MAX_WORKERS}"))
        if self.chunk_s is not None and not MIN_CHUNK_S <= self.chunk_s <= MAX_CHUNK_S:
            problems.append(Problem("chunk_s", f"{self.chunk_s} is not from {MIN_CHUNK_S} to {MAX_CHUNK_S}"))
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,2})?", self.device, re.ASCII):
            problems.append(Problem("device", f"{self.device} is not auto, cpu, cuda or a GPU such as cuda:1"))
        if problems:
            raise SpecError(*problems)
