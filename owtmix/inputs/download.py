"""Locates recordings, and downloads those that can only be measured whole."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from owtmix.base.errors import InputError, StoreError
from owtmix.base.io_threads import IO_THREADS, io_threads
from owtmix.base.progress import Progress
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.inputs.fair_store import FairStore
from owtmix.inputs.prefetch import Fetcher
from owtmix.inputs.source_file import SourceFile
from owtmix.jobfile.object_key import forms
from owtmix.storage import LocalCopy, disk_error
from owtmix.workers.pending_files import is_as_fetched, mark_fetched, remove_fetched

Downloaded = Mapping[int, InputError | None]
"""The recordings that were downloaded, by number: the error of each, or None."""


def locate_recordings(store: FairStore, keys: Sequence[str], folder: Path) -> list[SourceFile | InputError]:
    """The file of each of ``keys``, existing or to be downloaded into ``folder``; or the error of the key.

    A key that the store spells in another normal form of Unicode is found, too.

    Raises:
        StoreError: the store cannot be used.
    """
    with io_threads("locate") as threads:
        located = threads.map(lambda key: _locate(store, key, folder), keys)
    store.check_answered()
    return located


def _locate(store: FairStore, key: str, folder: Path) -> SourceFile | InputError:
    problem: InputError | None = None
    for form in forms(key):
        try:
            return SourceFile(form, _trusted(store.locate(form, folder)))
        except StoreError:
            raise
        except InputError as error:
            problem = problem or error
    assert problem
    return problem


def _trusted(copy: LocalCopy) -> LocalCopy:
    """The same, without a fetched file that was changed since."""
    if not copy.size_bytes or not copy.complete or is_as_fetched(copy.path):
        return copy
    remove_fetched(copy.path)
    return replace(copy, present_bytes=0)


def download_missing(
    store: Fetcher,
    files: Mapping[int, SourceFile],
    missing: Collection[int],
    budget: DiskBudget,
    progress: Progress,
) -> Iterator[Downloaded]:
    """Download ``missing`` and yield them as they arrive.

    When the caller resumes, the yielded files, and those that were there before, may be evicted: when ``files``, which
    are in the order in which the output needs them, exceed ``budget``, those needed last are evicted, and fetched
    again later.

    Raises:
        StoreError: the store cannot be used.
        DestinationError: the disk takes no more.
    """
    progress.stage("fetching", Fraction(sum(files[n].copy.size_bytes for n in missing)), "bytes")
    present = {n: files[n].copy.present_bytes for n in missing}
    stop = threading.Event()

    def fetch(number: int) -> None:
        def advance(done_bytes: int) -> None:
            if stop.is_set():
                raise _Stopped
            present[number] = done_bytes
            progress.advance(Fraction(sum(present.values())))

        store.fetch(files[number].key, files[number].copy, advance)
        try:
            mark_fetched(files[number].path)
        except OSError as error:
            raise disk_error(files[number].path.parent, error) from None

    waiting = [n for n in files if n in missing]
    if sum(file.copy.size_bytes for file in files.values()) <= budget.limit_bytes:
        # The largest first: otherwise one of them may be the last, with no other download beside it.
        waiting.sort(key=lambda number: files[number].copy.size_bytes, reverse=True)
    space = _DiskSpace(files, budget)
    pending: dict[Future[None], int] = {}
    with io_threads("download") as threads:
        try:
            while waiting or pending:
                while waiting and len(pending) < IO_THREADS and space.reserve(waiting[0]):
                    number = waiting.pop(0)
                    pending[threads.submit(fetch, number)] = number
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                downloaded = {pending.pop(future): _failure(future) for future in done}
                yield downloaded
                for number, error in downloaded.items():
                    space.unpin(number, is_there=not error)
        finally:
            stop.set()


class _DiskSpace:
    """The space that ``budget`` allows for ``files``, which are in order of need. Complete files may be evicted."""

    def __init__(self, files: Mapping[int, SourceFile], budget: DiskBudget) -> None:
        self._files = files
        self._budget = budget
        self._need = {number: position for position, number in enumerate(files)}
        self._taken = {n: file.copy.size_bytes for n, file in files.items() if file.copy.complete}
        self._evictable = set(self._taken)

    def reserve(self, number: int) -> bool:
        """Reserve space for one more file; evicts those needed last. False when there is none."""
        size = self._files[number].copy.size_bytes
        while sum(self._taken.values()) + size > self._budget.limit_bytes:
            if not self._evictable:
                return False
            last = max(self._evictable, key=self._need.__getitem__)
            remove_fetched(self._files[last].path)
            self._evictable.remove(last)
            del self._taken[last]
        self._taken[number] = size
        return True

    def unpin(self, number: int, *, is_there: bool) -> None:
        """A file was measured and may be evicted, or did not arrive."""
        if is_there:
            self._evictable.add(number)
        else:
            del self._taken[number]


class _Stopped(Exception):  # noqa: N818 - cancels a download, nothing failed
    pass


def _failure(future: Future[None]) -> InputError | None:
    """The error of one object, or None. Errors of the store or the disk are raised."""
    try:
        future.result()
    except StoreError:
        raise
    except InputError as error:
        return error
    return None
