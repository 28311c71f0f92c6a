"""Measuring recordings in child processes: what each holds, or why it cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.clip import Probe
from owtmix.document import printable
from owtmix.errors import InputError
from owtmix.execute.local import Crew
from owtmix.inspection import Report, inspect
from owtmix.tasks import ProbeTask

LONGEST_NAME: Final = 1000
"""In characters, of a file in a message."""

_log = logging.getLogger(__name__)


def measure(
    crew: Crew, tasks: Sequence[ProbeTask], on_measured: Callable[[int], None] = lambda _: None
) -> dict[int, Probe | str]:
    """What each task found, by its number, or in words why its file cannot be used.

    ``on_measured`` is told how many were measured so far.
    """
    outcomes = []
    for outcome in crew.run(tasks):
        outcomes.append(outcome)
        on_measured(len(outcomes))
    # A child that has read other files may have suffered from them: who is to blame dies alone, too.
    died = [outcome.task for outcome in outcomes if outcome.death]
    outcomes += crew.run(died, alone=True)
    return {found.task.number: found.value or str(found.error or f"reading it {found.death}") for found in outcomes}


def look_through(crew: Crew, files: Sequence[Path], longest_s: Fraction, *, strict: bool) -> list[Report]:
    """Measure ``files`` and decode them to the end; those that cannot be used are warned of.

    Raises:
        InputError: none can be used, or with ``strict`` any cannot.
    """
    tasks = [ProbeTask(number, str(path), path.absolute(), longest_s, wholly=True) for number, path in enumerate(files)]
    found: dict[int, Probe | str] = {task.number: _absence(task.path) for task in tasks if not task.path.is_file()}
    found |= measure(crew, [task for task in tasks if task.number not in found])
    reports = [
        Report(task.name, left_out=what) if isinstance(what := found[task.number], str) else inspect(task.name, what)
        for task in tasks
    ]
    reasons = [
        f"{printable(report.file, LONGEST_NAME)} cannot be used: {report.left_out}"
        for report in reports
        if report.left_out
    ]
    if reasons and (strict or len(reasons) == len(files)):
        raise InputError("\n".join(reasons))
    for reason in reasons:
        _log.warning("%s", reason)
    return reports


def _absence(path: Path) -> str:
    return "is not a file" if path.exists() else "does not exist"
