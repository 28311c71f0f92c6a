"""Measures recordings in workers: their tracks and times, or the reason why one cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol, TypeVar

from owtmix.base.errors import InputError
from owtmix.base.file_version import file_version
from owtmix.base.io_threads import io_threads
from owtmix.base.named_file import why_no_file
from owtmix.base.strict_json import printable
from owtmix.inputs.fair_store import FairStore
from owtmix.inputs.partial_mp4 import BLOCK_BYTES, PartialMp4, RangeUnavailable
from owtmix.inputs.source_file import SourceFile
from owtmix.inputs.tasks import Heard, NeedsBytes, ProbeTask
from owtmix.plan.input_report import InputReport, report_input
from owtmix.plan.media_info import ClockRules, Probe
from owtmix.storage import disk_error
from owtmix.workers.alone import do_alone, shortage_of
from owtmix.workers.base import Executor, Outcome, Task
from owtmix.workers.queues import ApartQueue

LONGEST_NAME: Final = 1000
"""In characters, of a file in a message."""
PARTIAL_FROM_BYTES: Final = 4 << 20
"""Smaller recordings are downloaded whole: requests for parts would not be faster."""
MAX_ROUNDS: Final = 8
"""How often a partial file is extended; once or twice is usual."""

_log = logging.getLogger(__name__)


class OwnedTask(Task, Protocol):
    """A task on a recording of an ``owner``."""

    @property
    def owner(self) -> str: ...


OwnedT = TypeVar("OwnedT", bound=OwnedTask)


def measure(
    executor: Executor, tasks: Sequence[ProbeTask], on_measured: Callable[[int], None] = lambda _: None
) -> dict[int, Heard | Probe | NeedsBytes | str]:
    """The result of each task by its number: what was found, the missing bytes, or why its file is unusable.

    ``on_measured`` gets the number of recordings measured so far. A worker that a recording has taken over can falsify
    what it says of others, and that is kept for later runs: so a worker measures the recordings of one owner only, and
    has read nothing before.

    Raises:
        ShortageError: the machine is short of something.
    """
    return {found.task.number: _result(found) for found in measure_apart(executor, tasks, on_measured)}


def measure_apart(
    executor: Executor, tasks: Sequence[OwnedT], on_measured: Callable[[int], None] = lambda _: None
) -> list[Outcome[OwnedT]]:
    """The outcomes of tasks, each of which belongs to an owner, as ``measure`` gets them.

    Raises:
        ShortageError: the machine is short of something.
    """
    clear: list[Outcome[OwnedT]] = []
    unclear: list[Outcome[OwnedT]] = []
    for measured, outcome in enumerate(executor.run(ApartQueue(tasks, lambda task: task.owner), renewed=True), start=1):
        (unclear if outcome.death or shortage_of(outcome) else clear).append(outcome)
        on_measured(measured)
    # A worker may have died of a file that it read before, or for want of something. A file that kills a worker does so
    # alone, and twice.
    return [*clear, *(do_alone(executor, outcome.task) for outcome in unclear)]


def _result(outcome: Outcome[ProbeTask]) -> Heard | Probe | NeedsBytes | str:
    # A worker that was taken over by its file may reply anything.
    if isinstance(outcome.value, NeedsBytes) and outcome.task.parts is None:
        return "its process asks for missing bytes, but the file is complete"
    return outcome.value or str(outcome.error or f"reading it {outcome.death}")


def measure_parts(
    executor: Executor,
    store: FairStore,
    files: Mapping[int, SourceFile],
    rules: ClockRules,
    owner: Callable[[int], str],
) -> dict[int, Probe]:
    """Measure remote ``files`` from their tables, without downloading them whole. Others are not in the result.

    ``owner`` tells whose each is.

    Raises:
        DestinationError: the disk takes no more.
    """
    found: dict[int, Probe] = {}
    large = {n: file for n, file in files.items() if file.copy.size_bytes >= PARTIAL_FROM_BYTES}
    with io_threads("partial download") as pool, ExitStack() as removed:
        for file in large.values():
            removed.callback(_partial_path(file).unlink, missing_ok=True)
        started = dict(zip(large, pool.map(lambda file: _start(store, file), large.values()), strict=True))
        partials = {n: partial for n, partial in started.items() if partial}
        for round_ in range(MAX_ROUNDS):
            tasks = [
                ProbeTask(n, files[n].key, part.path, rules, parts=part.parts, owner=owner(n))
                for n, part in partials.items()
            ]
            measured = measure(executor, tasks)
            found |= {n: what for n, what in measured.items() if isinstance(what, Probe)}
            # The others are damaged or need too many bytes. They are measured when they are downloaded.
            lacking = {
                n: what.at for n, what in measured.items() if isinstance(what, NeedsBytes) and what.at is not None
            }
            longer = {n: pool.submit(_extend, partials[n], at, round_) for n, at in lacking.items()}
            partials = {n: partials[n] for n, extended in longer.items() if extended.result()}
    return found


def _partial_path(file: SourceFile) -> Path:
    return file.path.with_name(f".{file.path.name}.partial")


def _start(store: FairStore, file: SourceFile) -> PartialMp4 | None:
    """A partial file with its tables; None where these are incomplete."""
    path, size = _partial_path(file), file.copy.size_bytes
    try:
        partial = PartialMp4(path, size, lambda start, length: store.read_part(file.key, file.copy, start, length))
        return partial if partial.fetch_tables() else None
    except RangeUnavailable:
        return None
    except OSError as error:
        raise disk_error(path.parent, error) from None


def _extend(partial: PartialMp4, at: int, round_: int) -> bool:
    """Fetch the bytes that a worker needs; False when they are unavailable, or when half of the file is exceeded."""
    if not 0 <= at < partial.size:
        return False
    try:
        partial.fetch(at, BLOCK_BYTES << round_)
    except RangeUnavailable:
        return False
    except OSError as error:
        raise disk_error(partial.path.parent, error) from None
    return partial.held_bytes <= partial.size // 2


def probe_files(executor: Executor, files: Sequence[Path], rules: ClockRules, *, strict: bool) -> list[InputReport]:
    """Measure ``files`` and decode them to the end. Unusable files are logged as warnings.

    Raises:
        InputError: no file can be used, or one cannot and ``strict`` is set.
    """
    tasks = [
        ProbeTask(number, str(path), path.absolute(), rules, wholly=True, version=_version(path), owner=str(path))
        for number, path in enumerate(files)
    ]
    found: dict[int, Heard | Probe | NeedsBytes | str] = {
        task.number: reason for task in tasks if (reason := why_no_file(task.path))
    }
    there = [task for task in tasks if task.number not in found]
    executor.allow(read=[task.path for task in there])
    found |= measure(executor, there)
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


def _version(path: Path) -> str | None:
    try:
        return file_version(path)
    except (OSError, ValueError):  # measuring it tells why
        return None
