"""The clock of a track, fixed while the room is composed: what was shown at a time stays there for ever.

It is a file beside the journal, one line of JSON for each knot, so that the recordings that are made at the end have
the times that were composed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from owtmix.base.own_files import own_file, read_own
from owtmix.jobfile.bounds import MAX_INDEX_BYTES
from owtmix.recorder.clock import MAX_TIME_US, Knot

SUFFIX: Final = ".clock"
_LIMIT_US: Final = float(MAX_TIME_US)


def clock_file(journal: Path) -> Path:
    """Where the clock of a journal is kept."""
    return journal.with_name(journal.name + SUFFIX)


def read_knots(journal: Path) -> tuple[Knot, ...]:
    """The knots of a journal's clock, as far as they rise; none where it was never fixed.

    Raises:
        OSError: they are there, and cannot be read.
    """
    try:
        lines = read_own(clock_file(journal), MAX_INDEX_BYTES).split(b"\n")
    except FileNotFoundError:
        return ()
    knots: list[Knot] = []
    for line in lines[:-1]:  # what follows the last line was not written whole
        knot = _knot(line)
        if knot is None or (knots and not (knot.rtp_us > knots[-1].rtp_us and knot.at_us > knots[-1].at_us)):
            break
        knots.append(knot)
    return tuple(knots)


def add_knots(journal: Path, knots: Iterable[Knot]) -> None:
    """Append ``knots``; when this returns they are on the disk.

    Raises:
        OSError: they cannot be written.
    """
    file = own_file(clock_file(journal), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, b"".join(json.dumps(knot).encode() + b"\n" for knot in knots))
        os.fdatasync(file)
    finally:
        os.close(file)


def _knot(line: bytes) -> Knot | None:
    try:
        rtp_us, at_us = map(float, json.loads(line))
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None
    return Knot(rtp_us, at_us) if abs(rtp_us) < _LIMIT_US and abs(at_us) < _LIMIT_US else None
