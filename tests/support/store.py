"""A store in memory, whose fetches can be delayed, and sources in it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from owtmix.base.errors import InputError, StoreError
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.inputs.prefetch import Prefetcher, SourceSet
from owtmix.inputs.source_file import SourceFile
from owtmix.storage import LocalCopy

LONGEST_S: Final = 60
"""Nothing in a test takes so long."""

Content = bytes | int | InputError
"""An object: its bytes, the size of one that is all zeros, or the error that ``locate`` raises in its place."""


def budget_of(limit_bytes: int) -> DiskBudget:
    """What ``conf/owt.toml`` allows, on a disk that is large."""
    return DiskBudget(limit_bytes, 1 << 60, Path("/nowhere"))


UNLIMITED: Final = budget_of(1 << 40)


class FakeStore:
    """A ``Store`` in memory. ``objects`` are its objects, by key.

    Fetching ``bad`` makes the store fail, and ``gone`` does not exist any more when it is fetched. ``fetched`` are the
    keys whose fetching has begun, in order.
    """

    secrets: tuple[str, ...] = ()

    def __init__(self, objects: Mapping[str, Content]) -> None:
        self.objects: dict[str, Content] = dict(objects)
        self.fetched: list[str] = []
        self._held: set[str] = set()
        self._changed = threading.Condition()

    def hold(self, *keys: str) -> None:
        """Hold these back until they are let go."""
        self._held |= {*keys}

    def let_go(self, *keys: str) -> None:
        """Let these come."""
        with self._changed:
            self._held -= {*keys}
            self._changed.notify_all()

    def wait_for_fetches(self, count: int) -> list[str]:
        """Wait until the fetching of so many objects has begun; returns their keys, in order."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.fetched) >= count, LONGEST_S), self.fetched
            return list(self.fetched)

    def address(self, key: str) -> str:
        return f"memory:{key}"

    def identity(self, key: str) -> str:
        return f"{id(self)} {key}"

    def places(self, key: str) -> AbstractSet[str]:
        return {self.identity(key)}

    def replaced(self, key: str, job_id: str) -> Sequence[str]:
        del job_id
        return (key,)

    def read(self, key: str, max_bytes: int) -> bytes | None:
        if key not in self.objects:
            return None
        data = self._bytes(key)
        if len(data) > max_bytes:
            raise InputError(f"{key} is larger than {max_bytes} bytes")
        return data

    def locate(self, key: str, folder: Path) -> LocalCopy:
        if key not in self.objects:
            raise InputError("does not exist")
        path = folder / key.replace("/", "-")
        data = self._bytes(key)
        present_bytes = path.stat().st_size if path.exists() else 0
        return LocalCopy(path, len(data), present_bytes, hashlib.sha256(data).hexdigest())

    def read_part(self, key: str, copy: LocalCopy, start: int, length: int) -> bytes | None:
        del copy
        return self._bytes(key)[start : start + length]

    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        with self._changed:
            self.fetched.append(key)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: key not in self._held, LONGEST_S), key
        if key == "bad":
            raise StoreError("the store is down")
        if key == "gone":
            raise InputError("does not exist")
        on_progress(copy.size_bytes)
        copy.path.write_bytes(self._bytes(key))

    def stage(self, key: str, job_id: str, folder: Path) -> Path:
        return folder / f"{job_id}{Path(key).suffix}"

    def commit(self, staged: Path, key: str, on_progress: Callable[[int], None]) -> str:
        data = staged.read_bytes()
        on_progress(len(data))
        self.objects[key] = data
        staged.unlink()
        return self.address(key)

    def _bytes(self, key: str) -> bytes:
        match self.objects[key]:
            case bytes() as data:
                return data
            case int() as size:
                return bytes(size)
            case error:
                raise error


def files_of(store: FakeStore, folder: Path) -> dict[int, SourceFile]:
    """All objects of ``store``, by their places, as files in ``folder``; those that lie there are there."""
    return {n: SourceFile(key, store.locate(key, folder)) for n, key in enumerate(store.objects)}


def source_set(store: FakeStore, folder: Path, budget: DiskBudget = UNLIMITED) -> SourceSet:
    """All objects of ``store`` as the sources of a plan, in order."""
    return SourceSet(store, list(files_of(store, folder).values()), budget)


def wait_until_ready(prefetcher: Prefetcher, *sources: int) -> None:
    """Wait until ``sources`` are there, or will never be."""
    while not prefetcher.ready(sources):
        prefetcher.check()
        threading.Event().wait(0.001)
