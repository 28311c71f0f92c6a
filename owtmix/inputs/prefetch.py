"""Prefetches recordings while others are composed, in the order in which the output needs them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType
from typing import Final, Protocol, Self

from owtmix.base.errors import InputError, MixError, RenderError, StoreError
from owtmix.base.io_threads import IO_THREADS, IoThreads
from owtmix.base.time import TimeRange
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.inputs.source_file import SourceFile, first_of_same
from owtmix.storage import LocalCopy, disk_error
from owtmix.workers.pending_files import is_as_fetched, mark_fetched, mark_missing, mark_pending, remove_fetched, unmark

POLL_S: Final = 0.05


class Fetcher(Protocol):
    """The part of a store that prefetching uses."""

    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        """As ``Store.fetch``."""


@dataclass(frozen=True, slots=True)
class SourceSet:
    """The sources of a plan, by their numbers: their files, the store they come from, and their disk budget."""

    store: Fetcher
    files: Sequence[SourceFile]
    budget: DiskBudget

    def reserving(self, size_bytes: int) -> SourceSet:
        """The same, with ``size_bytes`` of the disk left free for others."""
        return replace(self, budget=self.budget.reserving(size_bytes))

    def prefetch(self, uses: Mapping[int, TimeRange], longest_piece_s: Fraction = Fraction(0)) -> Prefetcher:
        """Start to fetch the sources in ``uses``."""
        return Prefetcher(self, uses, longest_piece_s)


class Prefetcher:
    """Fetches the missing files of ``sources`` in threads, until it is closed. Existing files are ready at once.

    Sources that are the same file are fetched once, and the file stays until none of them is needed any more.

    Only ``wait`` blocks; all methods may be called from any thread. A file that is being fetched is marked as pending:
    workers wait for it with ``pending_files.wait_for_file``.

    Args:
        sources: the files, and their disk budget. When all files need more, files no longer needed are deleted.
        uses: when the output needs each source, in output time; others are not fetched.
        longest_piece_s: the length of output that is made in one piece.

    Raises:
        DestinationError: files that are needed at the same time exceed the budget.
    """

    def __init__(
        self, sources: SourceSet, uses: Mapping[int, TimeRange], longest_piece_s: Fraction = Fraction(0)
    ) -> None:
        self._store = sources.store
        self._files = files = sources.files
        self._first = first_of_same(dict(enumerate(files)))
        """The source under whose number the file of each is kept; all other numbers here are such ones."""
        self._uses = uses = _joined(uses, self._first)
        self._budget = sources.budget
        self._order = sorted((n for n in uses if files[n].copy.size_bytes), key=lambda n: (uses[n].start, n))
        self._check_budget(longest_piece_s)
        self._exceeds_budget = sum(files[n].copy.size_bytes for n in self._order) > self._budget.limit_bytes
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._failed: dict[int, InputError] = {}
        self._fatal: MixError | None = None
        # A file that existed when it was located may have been evicted, or changed, since.
        firsts = {n: files[n] for n in self._first.values()}
        self._here = {n for n, file in firsts.items() if not file.copy.size_bytes or is_as_fetched(file.path)}
        self._present_bytes = dict.fromkeys(self._order, 0)
        self._coming: set[int] = set()
        self._released: set[int] = set()
        self._evict_at_first()
        self._queue = [n for n in self._order if n not in self._here]
        self.has_all: Final = not self._queue
        """Whether all files existed from the beginning."""
        for number in self._order:
            # A killed run may have left marks.
            (mark_pending if number in self._queue else unmark)(files[number].path)
        self._threads = IoThreads("download", IO_THREADS) if self._queue else None
        with self._lock:
            self._start_fetches()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ready(self, sources: Collection[int]) -> bool:
        """Whether each of ``sources`` exists locally, or has failed."""
        with self._lock:
            return all(n in self._here or n in self._failed for n in map(self._first.__getitem__, sources))

    def failed(self) -> Mapping[int, InputError]:
        """The sources that cannot be fetched, with their errors: objects that vanished or changed."""
        with self._lock:
            return {n: self._failed[first] for n, first in self._first.items() if first in self._failed}

    def wait(self, sources: Collection[int], on_missing: Callable[[int], None] = lambda _: None) -> None:
        """Wait until ``sources`` are ready; ``on_missing`` gets the number of missing bytes of all sources.

        Raises:
            StoreError, DestinationError: as ``check``.
        """
        while not self.ready(sources):
            self.check()
            on_missing(self.missing_bytes)
            time.sleep(POLL_S)

    def check(self) -> None:
        """Raise the error that ended all fetching, if any. Call it now and then.

        Raises:
            StoreError: the store cannot be used any more.
            DestinationError: the disk takes no more.
        """
        with self._lock:
            if self._fatal:
                raise self._fatal

    def release(self, before_s: Fraction) -> None:
        """Report that sources used only before output time ``before_s`` are no longer needed."""
        with self._lock:
            self._released |= {n for n in self._order if self._uses[n].end <= before_s}
            self._start_fetches()

    @property
    def needs_release(self) -> bool:
        """Whether some files are fetched only after others were released."""
        return self._exceeds_budget

    @property
    def missing_bytes(self) -> int:
        """Bytes that have yet to be fetched."""
        with self._lock:
            missing = (n for n in (*self._queue, *self._coming))
            return sum(self._files[n].copy.size_bytes - self._present_bytes[n] for n in missing)

    def close(self) -> None:
        """Stop fetching. Partial files stay, and the next run continues them."""
        with self._lock:
            self._stop.set()
            self._queue.clear()
        if self._threads:
            self._threads.cancel()
        for number in self._order:
            with suppress(OSError):  # the folder is gone
                unmark(self._files[number].path)

    def _check_budget(self, longest_piece_s: Fraction) -> None:
        """Check that each file fits together with the earlier files that are still needed.

        Raises:
            DestinationError: a file does not fit.
        """
        for place, number in enumerate(self._order):
            start = self._uses[number].start - longest_piece_s
            needed = (n for n in self._order[: place + 1] if self._uses[n].end > start)
            self._budget.check(sum(self._files[n].copy.size_bytes for n in needed))

    def _evict_at_first(self) -> None:
        """When not all fit, delete files that are not needed, or needed only after others have used their space."""
        unused = [n for n in {*self._first.values()} - self._uses.keys() if self._files[n].copy.size_bytes]
        for number in unused if self._exceeds_budget else ():
            self._evict(number)
        used = 0
        for number in self._order:
            used += self._files[number].copy.size_bytes
            if used > self._budget.limit_bytes and number in self._here:
                self._evict(number)

    def _start_fetches(self) -> None:
        """Fetch the next files that fit into the budget, and evict released files. The caller holds the lock."""
        while self._queue and self._threads and not self._stop.is_set():
            number = self._queue[0]
            needed = self._files[number].copy.size_bytes + sum(
                self._files[n].copy.size_bytes for n in self._order if n in self._here or n in self._coming
            )
            spare = [n for n in self._order if n in self._released and n in self._here]
            while needed > self._budget.limit_bytes and spare:
                needed -= self._files[spare[0]].copy.size_bytes
                self._evict(spare.pop(0))
            if needed > self._budget.limit_bytes:
                return
            self._queue.pop(0)
            self._coming.add(number)
            self._threads.submit(self._fetch, number)

    def _evict(self, number: int) -> None:
        self._here.discard(number)
        remove_fetched(self._files[number].path)

    def _fetch(self, number: int) -> None:
        file = self._files[number]
        if self._stop.is_set():
            return
        try:
            self._store.fetch(file.key, file.copy, lambda present: self._advance(number, present))
            mark_fetched(file.path)
            self._finish(number, None)
        except StoreError as error:
            self._abort(error)
        except InputError as error:
            self._give_up(number, error)
        except _Stopped:
            pass
        except MixError as error:
            self._abort(error)
        except OSError as error:
            self._abort(disk_error(file.path.parent, error))
        except Exception as error:  # noqa: BLE001 - a thread cannot raise to its caller
            self._abort(RenderError(f"fetching {file.key} failed: {type(error).__name__}: {error}"))

    def _give_up(self, number: int, reason: InputError) -> None:
        try:
            self._finish(number, reason)
        except OSError as error:
            self._abort(disk_error(self._files[number].path.parent, error))

    def _advance(self, number: int, present: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._present_bytes[number] = present

    def _finish(self, number: int, error: InputError | None) -> None:
        path = self._files[number].path
        with self._lock:
            if self._stop.is_set():
                return
            self._coming.discard(number)
            if error:
                self._failed[number] = error
                mark_missing(path)
            else:
                self._here.add(number)
            self._start_fetches()

    def _abort(self, error: MixError) -> None:
        with self._lock:
            self._fatal = self._fatal or error
            self._stop.set()


def _joined(uses: Mapping[int, TimeRange], first: Mapping[int, int]) -> dict[int, TimeRange]:
    """From the first to the last use of each file."""
    joined: dict[int, TimeRange] = {}
    for number, use in uses.items():
        other = joined.get(first[number], use)
        joined[first[number]] = TimeRange(min(use.start, other.start), max(use.end, other.end))
    return joined


class _Stopped(Exception):  # noqa: N818 - cancels a download, nothing failed
    pass
