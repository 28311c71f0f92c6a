"""Measuring recordings in child processes: what each holds, or why it cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.base.errors import InputError
from owtmix.base.io_threads import io_threads
from owtmix.base.strict_json import printable
from owtmix.inputs.partial_mp4 import BLOCK_BYTES, PartialMp4, RangeUnavailable
from owtmix.inputs.prefetch import Ware
from owtmix.inputs.tasks import NeedsBytes, ProbeTask
from owtmix.plan.input_report import InputReport, report_input
from owtmix.plan.media_info import Probe
from owtmix.storage import Store, disk_error
from owtmix.workers.base import Outcome
from owtmix.workers.local import WorkerPool

LONGEST_NAME: Final = 1000
"""In characters, of a file in a message."""
PARTIAL_FROM_BYTES: Final = 4 << 20
"""A smaller recording is fetched whole: its parts would not come sooner."""
MAX_ROUNDS: Final = 8
"""So often an excerpt is made longer; it takes one or two."""

_log = logging.getLogger(__name__)


def measure(
    executor: WorkerPool, tasks: Sequence[ProbeTask], on_measured: Callable[[int], None] = lambda _: None
) -> dict[int, Probe | NeedsBytes | str]:
    """What each task found, or lacks to find it, by its number; or in words why its file cannot be used.

    ``on_measured`` is told how many were measured so far.
    """
    outcomes = []
    for outcome in executor.run(tasks):
        outcomes.append(outcome)
        on_measured(len(outcomes))
    # A child that has read other files may have suffered from them: who is to blame dies alone, too.
    died = [outcome.task for outcome in outcomes if outcome.death]
    outcomes += executor.run(died, alone=True)
    return {found.task.number: _told(found) for found in outcomes}


def _told(outcome: Outcome[ProbeTask]) -> Probe | NeedsBytes | str:
    if (
        isinstance(outcome.value, NeedsBytes) and outcome.task.parts is None
    ):  # whoever reads hostile media may say anything
        return "reading it lacks what is there"
    return outcome.value or str(outcome.error or f"reading it {outcome.death}")


def measure_parts(
    executor: WorkerPool, store: Store, wares: Mapping[int, Ware], longest_s: Fraction
) -> dict[int, Probe]:
    """Measure, of ``wares`` that are not here, those whose tables tell everything, without fetching them whole.

    Raises:
        StoreError: the store cannot be used.
        DestinationError: the disk takes no more.
    """
    found: dict[int, Probe] = {}
    large = {n: ware for n, ware in wares.items() if ware.copy.size_bytes >= PARTIAL_FROM_BYTES}
    with io_threads("excerpt") as pool, ExitStack() as removed:
        for ware in large.values():
            removed.callback(_excerpt_path(ware).unlink, missing_ok=True)
        begun = dict(zip(large, pool.map(lambda ware: _begin(store, ware), large.values()), strict=True))
        excerpts = {n: excerpt for n, excerpt in begun.items() if excerpt}
        for round_ in range(MAX_ROUNDS):
            tasks = [ProbeTask(n, wares[n].key, e.path, longest_s, parts=e.parts) for n, e in excerpts.items()]
            measured = measure(executor, tasks)
            found |= {n: what for n, what in measured.items() if isinstance(what, Probe)}
            # What is wrong with the others, or what they lack too much of, is seen when they are whole.
            lacking = {
                n: what.at for n, what in measured.items() if isinstance(what, NeedsBytes) and what.at is not None
            }
            longer = {n: pool.submit(_extend, excerpts[n], at, round_) for n, at in lacking.items()}
            excerpts = {n: excerpts[n] for n, extended in longer.items() if extended.result()}
    return found


def _excerpt_path(ware: Ware) -> Path:
    return ware.copy.path.with_name(f".{ware.copy.path.name}.excerpt")


def _begin(store: Store, ware: Ware) -> PartialMp4 | None:
    """An excerpt with the tables; None where they do not tell everything."""
    path, size = _excerpt_path(ware), ware.copy.size_bytes
    try:
        excerpt = PartialMp4(path, size, lambda start, length: store.read_part(ware.key, ware.copy, start, length))
        return excerpt if excerpt.fetch_tables() else None
    except RangeUnavailable:
        return None
    except OSError as error:
        raise disk_error(path.parent, error) from None


def _extend(excerpt: PartialMp4, at: int, round_: int) -> bool:
    """Fetch what an excerpt lacks, as a child says; False where that becomes too much, or cannot be."""
    if not 0 <= at < excerpt.size:
        return False
    try:
        excerpt.fetch(at, BLOCK_BYTES << round_)
    except RangeUnavailable:
        return False
    except OSError as error:
        raise disk_error(excerpt.path.parent, error) from None
    return excerpt.held_bytes <= excerpt.size // 2


def probe_files(executor: WorkerPool, files: Sequence[Path], longest_s: Fraction, *, strict: bool) -> list[InputReport]:
    """Measure ``files`` and decode them to the end; those that cannot be used are warned of.

    Raises:
        InputError: none can be used, or with ``strict`` any cannot.
    """
    tasks = [ProbeTask(number, str(path), path.absolute(), longest_s, wholly=True) for number, path in enumerate(files)]
    found: dict[int, Probe | NeedsBytes | str] = {
        task.number: _absence(task.path) for task in tasks if not task.path.is_file()
    }
    found |= measure(executor, [task for task in tasks if task.number not in found])
    reports = [
        report_input(task.name, what)
        if isinstance(what := found[task.number], Probe)
        else InputReport(task.name, left_out=str(what))
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
