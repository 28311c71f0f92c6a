"""Recordings come while others are composed: in the order in which the output needs them, as far as the disk allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType
from typing import Final, Protocol, Self

from owtmix.base.errors import InputError, MixError, RenderError, StoreError
from owtmix.base.io_threads import IO_THREADS, IoThreads
from owtmix.base.time import TimeRange
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.storage import LocalCopy
from owtmix.workers.pending_files import mark_missing, mark_pending, mark_ready

LOOK_EVERY_S: Final = 0.05


class Fetcher(Protocol):
    """The part of a store that is needed here."""

    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        """As ``Store`` has it."""


@dataclass(frozen=True, slots=True)
class Ware:
    """A source: its key in the store, and the local file that it is or will be."""

    key: str
    copy: LocalCopy


@dataclass(frozen=True, slots=True)
class Stock:
    """A plan's sources, by their numbers, where they come from, and what they may take of the disk."""

    store: Fetcher
    wares: Sequence[Ware]
    quota: DiskBudget

    def leaving(self, size_bytes: int) -> Stock:
        """The same, but so much of the disk stays free for others."""
        return replace(self, quota=self.quota.leaving(size_bytes))

    def supply(self, uses: Mapping[int, TimeRange], together_s: Fraction = Fraction(0)) -> Supply:
        """Begin to fetch what ``uses`` needs, as ``Supply`` does."""
        return Supply(self.store, self.wares, uses, self.quota, together_s)


class Supply:
    """Fetches what is missing of ``wares``, by threads, until it is closed. What is here is ready at once.

    Every method returns at once, and may be called from any thread. While a ware comes, its path is promised: children
    may wait for it with ``landing.landed``.

    Args:
        store: where they come from.
        wares: the plan's sources, by their numbers.
        uses: when the output needs them; those that are not in it are not fetched.
        quota: what they may take of the disk. When all are more, one that is needed no longer makes room for the next.
        together_s: how long a stretch of output is worked on at once.

    Raises:
        DestinationError: what is needed at once is more than the quota.
    """

    def __init__(
        self,
        store: Fetcher,
        wares: Sequence[Ware],
        uses: Mapping[int, TimeRange],
        quota: DiskBudget,
        together_s: Fraction = Fraction(0),
    ) -> None:
        self._store = store
        self._wares = wares
        self._uses = uses
        self._quota = quota
        self._order = sorted((n for n in uses if wares[n].copy.size_bytes), key=lambda n: (uses[n].start, n))
        _check_fits(self._order, wares, uses, quota, together_s)
        self._too_large = sum(wares[n].copy.size_bytes for n in self._order) > quota.limit_bytes
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._failed: dict[int, InputError] = {}
        self._ended: MixError | None = None
        # What was there when a copy was located may have made room meanwhile.
        self._here = {n for n, ware in enumerate(wares) if not ware.copy.size_bytes or ware.copy.path.exists()}
        self._present = dict.fromkeys(self._order, 0)
        self._coming: set[int] = set()
        self._done: set[int] = set()
        self._make_room_at_first()
        self._queue = [n for n in self._order if n not in self._here]
        self.has_all: Final = not self._queue
        """Whether all was here from the beginning."""
        for number in self._order:
            # A run that was killed may have promised what is here now, or given up what may come.
            (mark_pending if number in self._queue else mark_ready)(wares[number].copy.path)
        self._hands = IoThreads("download", IO_THREADS) if self._queue else None
        with self._lock:
            self._go_on()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ready(self, sources: Collection[int]) -> bool:
        """Whether each of ``sources`` is here, or will never be."""
        with self._lock:
            return all(n in self._here or n in self._failed for n in sources)

    def failed(self) -> Mapping[int, InputError]:
        """The sources that will never be here, and why: objects that vanished or changed."""
        with self._lock:
            return dict(self._failed)

    def wait(self, sources: Collection[int], on_missing: Callable[[int], None] = lambda _: None) -> None:
        """Return when these are ready; until then ``on_missing`` is told how many bytes are missing of all.

        Raises:
            StoreError, DestinationError: as of ``check``.
        """
        while not self.ready(sources):
            self.check()
            on_missing(self.missing_bytes)
            time.sleep(LOOK_EVERY_S)

    def check(self) -> None:
        """Call it now and then.

        Raises:
            StoreError: the store cannot be used any more, and what is missing will not come.
            DestinationError: nor will it when the disk takes no more.
        """
        with self._lock:
            if self._ended:
                raise self._ended

    def release(self, before_s: Fraction) -> None:
        """Nothing is needed any more of what the output uses before ``before_s`` alone."""
        with self._lock:
            self._done |= {n for n in self._order if self._uses[n].end <= before_s}
            self._go_on()

    @property
    def waits(self) -> bool:
        """Whether not all is fetched before something is released."""
        return self._too_large

    @property
    def missing_bytes(self) -> int:
        """What has yet to be fetched."""
        with self._lock:
            missing = (n for n in (*self._queue, *self._coming))
            return sum(self._wares[n].copy.size_bytes - self._present[n] for n in missing)

    def close(self) -> None:
        """Stop fetching; what has arrived stays, and is gone on with another time."""
        with self._lock:
            self._stop.set()
            self._queue.clear()
        if self._hands:
            self._hands.cancel()
        for number in self._order:
            mark_ready(self._wares[number].copy.path)

    def _make_room_at_first(self) -> None:
        """Where not all fits, remove what nobody needs, or is here too early: others need its place before."""
        unused = [n for n, ware in enumerate(self._wares) if ware.copy.size_bytes and n not in self._uses]
        for number in unused if self._too_large else ():
            self._remove(number)
        used = 0
        for number in self._order:
            used += self._wares[number].copy.size_bytes
            if used > self._quota.limit_bytes and number in self._here:
                self._remove(number)

    def _go_on(self) -> None:
        """Begin to fetch what there is room for, in order; what the output has passed makes room. It holds the lock."""
        while self._queue and self._hands and not self._stop.is_set():
            number = self._queue[0]
            needed = self._wares[number].copy.size_bytes + sum(
                self._wares[n].copy.size_bytes for n in self._order if n in self._here or n in self._coming
            )
            spare = [n for n in self._order if n in self._done and n in self._here]
            while needed > self._quota.limit_bytes and spare:
                needed -= self._wares[spare[0]].copy.size_bytes
                self._remove(spare.pop(0))
            if needed > self._quota.limit_bytes:
                return
            self._queue.pop(0)
            self._coming.add(number)
            self._hands.submit(self._fetch, number)

    def _remove(self, number: int) -> None:
        self._here.discard(number)
        self._wares[number].copy.path.unlink(missing_ok=True)

    def _fetch(self, number: int) -> None:
        ware = self._wares[number]
        if self._stop.is_set():
            return
        try:
            self._store.fetch(ware.key, ware.copy, lambda present: self._advance(number, present))
        except StoreError as error:
            self._end(error)
        except InputError as error:
            self._finish(number, error)
        except _Stopped:
            pass
        except MixError as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001 - nobody waits for this thread to say it
            self._end(RenderError(f"fetching {ware.key} failed: {type(error).__name__}: {error}"))
        else:
            self._finish(number, None)

    def _advance(self, number: int, present: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._present[number] = present

    def _finish(self, number: int, error: InputError | None) -> None:
        path = self._wares[number].copy.path
        with self._lock:
            if self._stop.is_set():
                return
            self._coming.discard(number)
            if error:
                self._failed[number] = error
                mark_missing(path)
            else:
                self._here.add(number)
                mark_ready(path)
            self._go_on()

    def _end(self, error: MixError) -> None:
        with self._lock:
            self._ended = self._ended or error
            self._stop.set()


class _Stopped(Exception):  # noqa: N818 - a download ends that nobody waits for any more
    pass


def _check_fits(
    order: Sequence[int],
    wares: Sequence[Ware],
    uses: Mapping[int, TimeRange],
    quota: DiskBudget,
    together_s: Fraction,
) -> None:
    """See that there is room for each with what came before it and is still needed.

    Raises:
        DestinationError: there is not.
    """
    for place, number in enumerate(order):
        start = uses[number].start - together_s
        needed = sum(wares[n].copy.size_bytes for n in order[: place + 1] if uses[n].end > start)
        quota.check(needed)
