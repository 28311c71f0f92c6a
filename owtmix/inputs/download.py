"""Recordings arrive: each is looked for, and those that only tell what they hold when they are whole are fetched."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from fractions import Fraction
from pathlib import Path

from owtmix.base.errors import InputError, StoreError
from owtmix.base.io_threads import IO_THREADS, io_threads
from owtmix.base.progress import Progress
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.inputs.prefetch import Ware
from owtmix.storage import LocalCopy, Store

Downloaded = Mapping[int, InputError | None]
"""What is wrong with those that landed, or None, by the number of the recording."""


def locate_recordings(store: Store, keys: Sequence[str], folder: Path) -> list[LocalCopy | InputError]:
    """Where each of ``keys`` is a local file, or will be one in ``folder``; or what is wrong with it.

    Raises:
        StoreError: the store cannot be used.
    """
    with io_threads("locate") as pool:
        return pool.map(lambda key: _locate(store, key, folder), keys)


def _locate(store: Store, key: str, folder: Path) -> LocalCopy | InputError:
    try:
        return store.locate(key, folder)
    except StoreError:
        raise
    except InputError as error:
        return error


def download_missing(
    store: Store,
    wares: Mapping[int, Ware],
    missing: Collection[int],
    quota: DiskBudget,
    progress: Progress,
) -> Iterator[Downloaded]:
    """Fetch ``missing`` and yield them as they land; whoever goes on is done with what was yielded, or was here before.

    When ``wares``, which are in order of need, do not all fit into ``quota``, the last of those makes room: it is
    fetched again when it is needed.

    Raises:
        StoreError: the store cannot be used.
        DestinationError: the disk does not take them.
    """
    progress.stage("fetching", Fraction(sum(wares[n].copy.size_bytes for n in missing)), "bytes")
    present = {n: wares[n].copy.present_bytes for n in missing}
    stop = threading.Event()

    def fetch(number: int) -> None:
        def advance(done_bytes: int) -> None:
            if stop.is_set():
                raise _Stopped
            present[number] = done_bytes
            progress.advance(Fraction(sum(present.values())))

        store.fetch(wares[number].key, wares[number].copy, advance)

    waiting = [n for n in wares if n in missing]
    if sum(ware.copy.size_bytes for ware in wares.values()) <= quota.limit_bytes:
        # The largest first: otherwise one of them may be all that is left to wait for.
        waiting.sort(key=lambda number: wares[number].copy.size_bytes, reverse=True)
    shelf = _DiskSpace(wares, quota)
    pending: dict[Future[None], int] = {}
    with io_threads("download") as pool:
        try:
            while waiting or pending:
                while waiting and len(pending) < IO_THREADS and shelf.takes(waiting[0]):
                    number = waiting.pop(0)
                    pending[pool.submit(fetch, number)] = number
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                landed = {pending.pop(future): _failure(future) for future in done}
                yield landed
                for number, error in landed.items():
                    shelf.spare(number, is_there=not error)
        finally:
            stop.set()


class _DiskSpace:
    """The place that ``quota`` allows. What is complete of ``wares``, which are in order of need, is spare at first."""

    def __init__(self, wares: Mapping[int, Ware], quota: DiskBudget) -> None:
        self._wares = wares
        self._quota = quota
        self._need = list(wares)
        self._taken = {n: ware.copy.size_bytes for n, ware in wares.items() if ware.copy.complete}
        self._spare = set(self._taken)

    def takes(self, number: int) -> bool:
        """Whether there is place for one more, which is taken; what is spare and needed last makes it."""
        size = self._wares[number].copy.size_bytes
        while sum(self._taken.values()) + size > self._quota.limit_bytes:
            if not self._spare:
                return False
            last = max(self._spare, key=self._need.index)
            self._wares[last].copy.path.unlink(missing_ok=True)
            self._spare.remove(last)
            del self._taken[last]
        self._taken[number] = size
        return True

    def spare(self, number: int, *, is_there: bool) -> None:
        """One is measured, or did not come."""
        if is_there:
            self._spare.add(number)
        else:
            del self._taken[number]


class _Stopped(Exception):  # noqa: N818 - a download ends that nobody waits for any more
    pass


def _failure(future: Future[None]) -> InputError | None:
    """What is wrong with one object; what is wrong with the store, or the disk, is raised."""
    try:
        future.result()
    except StoreError:
        raise
    except InputError as error:
        return error
    return None
