"""QUEUE: the jobs of a folder, of a manifest or of standard input. Every problem is named, and then nothing is run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from owtmix.base.ids import is_job_id
from owtmix.base.named_file import read_named_file
from owtmix.base.strict_json import printable
from owtmix.batch.attempt import BatchJob
from owtmix.batch.manifest import MOST_LINES, Entry, absolute, is_local_path, read_manifest
from owtmix.batch.problems import Problems, QueueError
from owtmix.jobfile.bounds import MAX_JOB_BYTES, MAX_NAME
from owtmix.jobfile.reader import job_id_in

LONGEST_NAME: Final = 200
"""In characters, of a path or an id in a message."""
_JOB_FILE: Final = re.compile(rb'"(?:Action|Internal|Data)"\s{0,100}:', re.IGNORECASE)
"""A key that a job file has, however wrong it is, and an index has not."""
_KEPT_FILES: Final = 1024
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Queue:
    """The jobs in the order in which they stand, and the folder that paths in them are relative to.

    ``others`` are names of JSON files in the folder that are no job files.
    """

    jobs: tuple[BatchJob, ...]
    others: tuple[str, ...] = ()


def folder_of(source: str) -> Path:
    """The folder of a queue: itself, that of the manifest, or the working folder. The results are kept there."""
    path = Path(source).absolute()
    return Path.cwd() if source == "-" else path if path.is_dir() else path.parent


def read_queue(source: str) -> Queue:
    """Read QUEUE.

    Raises:
        QueueError: it is wrong; the error has all problems, the first of them in words.
    """
    problems = Problems()
    folder = folder_of(source)
    others: list[str] = []
    try:
        entries = _entries(source, folder, problems, others)
        jobs = tuple(_jobs(entries, folder, problems))
    except OSError as error:
        raise QueueError(f"{printable(source, LONGEST_NAME)} cannot be read: {error.strerror}") from None
    problems.check()
    if not jobs:
        raise QueueError(f"{'standard input' if source == '-' else printable(source, LONGEST_NAME)} has no job")
    return Queue(jobs, tuple(others))


def _entries(source: str, folder: Path, problems: Problems, others: list[str]) -> Iterator[Entry]:
    if source == "-":
        yield from read_manifest(_standard_input(), problems)
    elif Path(source).is_dir():
        yield from _in_folder(folder, problems, others)
    elif Path(source).suffix == ".jsonl" or not Path(source).exists():
        with Path(source).open("rb") as lines:
            yield from read_manifest(lines, problems)
    else:
        hint = ": owt-main composes a single job" if Path(source).suffix == ".json" else ""
        problems.add("", f"{printable(source, LONGEST_NAME)} is neither a folder nor a manifest *.jsonl nor -{hint}")


def _standard_input() -> BinaryIO:
    if sys.stdin is None:  # it was closed when the process started
        raise QueueError("standard input is closed")
    return sys.stdin.buffer


def _in_folder(folder: Path, problems: Problems, others: list[str]) -> Iterator[Entry]:
    """Job files in a folder: ``*.json`` and ``*/cfg.json``, in the order of their names."""
    names = sorted(os.listdir(folder))  # noqa: PTH208 - names
    found = [name if name.endswith(".json") else f"{name}/cfg.json" for name in names]
    count = 0
    for name in found:
        path = folder / name
        if not path.is_file():
            continue
        if "/" not in name and name != "cfg.json" and not _is_job_file(path):
            others.append(name)
            continue
        count += 1
        if count > MOST_LINES:
            problems.add("", f"a queue has at most {MOST_LINES:,} jobs; the others were not read")
            return
        yield Entry(printable(name, LONGEST_NAME), name)


def _is_job_file(path: Path) -> bool:
    try:
        return bool(_JOB_FILE.search(read_named_file(path, MAX_JOB_BYTES)))
    except OSError:
        return True  # what is wrong with it is told later


def _jobs(entries: Iterable[Entry], folder: Path, problems: Problems) -> Iterator[BatchJob]:
    """Jobs of entries that do not stand in each other's way."""
    ids: dict[str, str] = {}
    job_ids: dict[str, str] = {}
    outputs: dict[tuple[str, str], str] = {}
    for entry in entries:
        cfg = folder / entry.cfg
        try:
            digest, written_id = _job_file(cfg)
        except OSError as error:
            problems.add(entry.where, f"cfg: {printable(str(cfg), LONGEST_NAME)} cannot be read: {error.strerror}")
            continue
        job_id = _overridden_id(entry.overrides) or written_id
        name = entry.id or job_id or entry.cfg[-MAX_NAME:]
        clash = _clash(ids, name, entry.where)
        if clash:
            problems.add(entry.where, f"{clash} has the id {printable(name, LONGEST_NAME)}, too")
        elif job_id and (clash := _clash(job_ids, job_id, entry.where)):
            problems.add(
                entry.where,
                f"{clash} has the JobId {job_id}, too, so they would exclude each other: set Internal.JobId in one",
            )
        elif (output := _output(entry, cfg, folder)) and (clash := _clash(outputs, output, entry.where)):
            problems.add(entry.where, f"output: {clash} writes to it, too")
        else:
            yield _job(entry, cfg, digest, name, folder)


def _clash(seen: dict[_Value, str], value: _Value, where: str) -> str:
    """The place that has ``value`` already; empty when there is none."""
    first = seen.setdefault(value, where)
    return "" if first == where else first


def _job(entry: Entry, cfg: Path, digest: str, name: str, folder: Path) -> BatchJob:
    index, output = absolute(entry.index, folder), absolute(entry.output, folder)
    options = json.dumps([digest, sorted(entry.overrides.items()), index, output, entry.device])
    key = hashlib.sha256(options.encode()).hexdigest()[:32]
    return BatchJob(
        name, cfg, key, entry.overrides, index, output, entry.device, priority=entry.priority, cost=entry.cost
    )


@lru_cache(maxsize=_KEPT_FILES)
def _job_file(cfg: Path) -> tuple[str, str | None]:
    """A digest of the bytes of a job file, and the job id in them.

    Raises:
        OSError: it cannot be read.
    """
    data = read_named_file(cfg, MAX_JOB_BYTES)
    return hashlib.sha256(data).hexdigest(), job_id_in(data)


def _overridden_id(overrides: Mapping[str, str]) -> str | None:
    """The job id that an entry sets."""
    for path, within in (("Internal.JobId", False), ("Internal", True)):
        if path in overrides:
            value = json.loads(overrides[path])
            value = value.get("JobId") if within and isinstance(value, dict) else value
            if isinstance(value, str) and is_job_id(value):
                return value
    return None


def _output(entry: Entry, cfg: Path, folder: Path) -> tuple[str, str] | None:
    """What tells outputs apart, as far as that is known without the job file: None where it is not."""
    if entry.output is None or "$" in entry.output:
        return None
    if is_local_path(entry.output):
        return "", os.path.normpath(folder / entry.output)
    return str(cfg), entry.output
