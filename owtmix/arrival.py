"""Recordings arrive: each is looked for, the disk is asked for its place, and it is handed on as it lands."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from fractions import Fraction
from pathlib import Path
from typing import Final

from owtmix.errors import DestinationError, InputError, StoreError
from owtmix.progress import Progress
from owtmix.storage import Copy, Store

AT_ONCE: Final = 4
"""Recordings that are looked for, or fetched, at the same time."""

Landed = Mapping[int, Path | InputError]
"""Local files, or why there is none, by the number of the recording."""


def arrive(store: Store, keys: Sequence[str], folder: Path, max_bytes: int, progress: Progress) -> Iterator[Landed]:
    """Fetch the objects ``keys`` into ``folder``, the largest first, and yield them as they land.

    What is a local file already comes at once. ``max_bytes`` is what the others may take together.

    Raises:
        StoreError: the store cannot be used.
        DestinationError: the disk does not take them, or ``max_bytes`` does not allow them.
    """
    with ThreadPoolExecutor(AT_ONCE, "locate") as pool:
        located = list(pool.map(lambda key: _locate(store, key, folder), keys))
    copies = {number: copy for number, copy in enumerate(located) if isinstance(copy, Copy)}
    _check_room(copies.values(), folder, max_bytes)
    missing = {number: copy for number, copy in copies.items() if not copy.complete}
    yield {
        number: copy.path if isinstance(copy, Copy) else copy
        for number, copy in enumerate(located)
        if number not in missing
    }
    if missing:
        yield from _fetch(store, keys, missing, progress)


def _locate(store: Store, key: str, folder: Path) -> Copy | InputError:
    try:
        return store.locate(key, folder)
    except StoreError:
        raise
    except InputError as error:
        return error


def _check_room(copies: Collection[Copy], folder: Path, max_bytes: int) -> None:
    total = sum(copy.size_bytes for copy in copies)
    if total > max_bytes:
        raise DestinationError(
            f"the recordings have {_gib(total)}, and storage.max_inputs_mib in conf/owt.toml allows {_gib(max_bytes)}: "
            "raise it, or subscribe to fewer streams"
        )
    lacking = sum(copy.size_bytes - copy.present_bytes for copy in copies)
    free = shutil.disk_usage(folder).free
    if lacking > free:
        raise DestinationError(
            f"{_gib(lacking)} have to be fetched, and the disk of {folder} has {_gib(free)} left: free some space"
        )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:,.2f} GiB"


class _Stopped(Exception):  # noqa: N818 - a download ends that nobody waits for any more
    pass


def _fetch(store: Store, keys: Sequence[str], copies: Mapping[int, Copy], progress: Progress) -> Iterator[Landed]:
    progress.stage("fetching", Fraction(sum(copy.size_bytes for copy in copies.values())), "bytes")
    present = {number: copy.present_bytes for number, copy in copies.items()}
    stop = threading.Event()

    def fetch(number: int) -> None:
        def advance(done_bytes: int) -> None:
            if stop.is_set():
                raise _Stopped
            present[number] = done_bytes
            progress.advance(Fraction(sum(present.values())))

        store.fetch(keys[number], copies[number], advance)

    # The largest first: otherwise one of them may be all that is left to wait for.
    order = sorted(copies, key=lambda number: copies[number].size_bytes, reverse=True)
    pool = ThreadPoolExecutor(AT_ONCE, "download")
    try:
        pending = {pool.submit(fetch, number): number for number in order}
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            numbers = {pending.pop(future): future for future in done}
            yield {number: _failure(future) or copies[number].path for number, future in numbers.items()}
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)  # a silent store is not waited for


def _failure(future: Future[None]) -> InputError | None:
    """What is wrong with one object; what is wrong with the store, or the disk, is raised."""
    try:
        future.result()
    except StoreError:
        raise
    except InputError as error:
        return error
    return None
