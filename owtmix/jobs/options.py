"""The options of a job: what the command line, or a caller of the public API, adds to a job file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


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
    """

    index: str | None = None
    output: str | None = None
    strict: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    chunk_s: Fraction | None = None
    fresh: bool = False
    device: str = "auto"
