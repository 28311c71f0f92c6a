"""QUEUE: the jobs of a folder, of a manifest or of standard input. Every problem is named, and then nothing is run."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from owtmix.base.strict_json import printable
from owtmix.batch.attempt import BatchJob
from owtmix.batch.destinations import Destinations
from owtmix.batch.job_files import KEPT_FILES, JobFile, read_job_file
from owtmix.batch.manifest import Entry, absolute, read_manifest
from owtmix.batch.problems import Problems, QueueError
from owtmix.batch.queue_folder import read_folder
from owtmix.jobfile.bounds import MAX_NAME

LONGEST_NAME: Final = 200
"""In characters, of a path or an id in a message."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The jobs in the order in which they stand.

    ``others`` are names of JSON files in the folder that are no job files.
    """

    jobs: tuple[BatchJob, ...]
    others: tuple[str, ...] = ()


def folder_of(source: str) -> Path:
    """The folder of a queue: itself, that of the manifest, or the working folder. The results are kept there.

    Raises:
        QueueError: there is no working folder any more.
    """
    try:
        path = Path(source).absolute()
    except OSError as error:
        raise QueueError(f"the working folder cannot be used: {error.strerror}") from None
    return Path.cwd() if source == "-" else path if path.is_dir() else path.parent


def read_queue(source: str) -> Queue:
    """Read QUEUE.

    Raises:
        QueueError: it is wrong; the error has all problems, the first of them in words.
    """
    problems = Problems()
    folder = folder_of(source)
    others: list[str] = []
    read = lru_cache(KEPT_FILES)(read_job_file)
    try:
        entries = _entries(source, folder, read, problems, others)
        jobs = tuple(_jobs(entries, folder, read, problems))
    except OSError as error:
        raise QueueError(f"{printable(source, LONGEST_NAME)} cannot be read: {error.strerror}") from None
    problems.check()
    if not jobs:
        raise QueueError(f"{'standard input' if source == '-' else printable(source, LONGEST_NAME)} has no job")
    return Queue(jobs, tuple(others))


def _entries(
    source: str, folder: Path, read: Callable[[Path], JobFile], problems: Problems, others: list[str]
) -> Iterator[Entry]:
    if source == "-":
        yield from read_manifest(_standard_input(), problems)
    elif Path(source).is_dir():
        yield from read_folder(folder, read, problems, others)
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


def _jobs(
    entries: Iterable[Entry], folder: Path, read: Callable[[Path], JobFile], problems: Problems
) -> Iterator[BatchJob]:
    """Jobs of entries that do not stand in each other's way."""
    destinations = Destinations()
    ids: dict[str, str] = {}
    job_ids: dict[str, str] = {}
    outputs: dict[str, str] = {}
    for entry in entries:
        cfg = folder / entry.cfg
        try:
            file = read(cfg)
        except OSError as error:
            problems.add(entry.where, f"cfg: {printable(str(cfg), LONGEST_NAME)} cannot be read: {error.strerror}")
            continue
        index, output = absolute(entry.index, folder), absolute(entry.output, folder)
        job_id = file.job_id(entry.overrides)
        name = entry.id or job_id or entry.cfg[-MAX_NAME:]
        place = destinations.of(file.document(entry.overrides), cfg, output)
        same_id, same_job_id = _clash(ids, name, entry.where), _clash(job_ids, job_id, entry.where)
        same_output = _clash(outputs, place.identity if place else None, entry.where)
        if same_id:
            problems.add(entry.where, f"{same_id} has the id {printable(name, LONGEST_NAME)}, too")
        elif same_job_id:
            what = f"{same_job_id} has the JobId {job_id}, too, so they would exclude each other"
            problems.add(entry.where, f"{what}: set Internal.JobId in one")
        if place and same_output not in {"", same_id, same_job_id}:  # one problem less where it is the same job
            what = f"output: {same_output} writes to it, too: {printable(place.shown, LONGEST_NAME)}"
            problems.add(entry.where, what)
        if not (same_id or same_job_id or same_output):
            key = _key(file, entry, *map(destinations.resolved, (str(cfg), index, output)))
            yield BatchJob(
                name, cfg, key, entry.overrides, index, output, entry.device, priority=entry.priority, cost=entry.cost
            )


def _clash(seen: dict[str, str], value: str | None, where: str) -> str:
    """The place that has ``value`` already; empty when there is none."""
    if value is None:
        return ""
    if value in seen:
        return seen[value]
    seen[value] = where
    return ""


def _key(file: JobFile, entry: Entry, *paths: str | None) -> str:
    """What changes with a job. Buckets and outputs are relative to the job file, so its place is a part of the job."""
    options = json.dumps([file.digest, *paths, sorted(entry.overrides.items()), entry.device])
    return hashlib.sha256(options.encode()).hexdigest()[:32]
