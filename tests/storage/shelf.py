"""A store of zeros, whose objects come when a test lets them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from owtmix.base.errors import InputError, StoreError
from owtmix.inputs.disk_budget import DiskBudget
from owtmix.storage import LocalCopy, LocalStore

LONGEST_S = 20
"""Nothing in a test takes so long."""


def quota(limit_bytes: int) -> DiskBudget:
    """What ``conf/owt.toml`` allows, on a disk that is large."""
    return DiskBudget(limit_bytes, 1 << 60, Path("/nowhere"))


class Shelf(LocalStore):
    """Objects by their sizes, or errors that ``locate`` raises in their place.

    ``bad`` makes the store fail, ``gone`` is not there any more when it is fetched. ``fetched`` are the keys whose
    fetching has begun, in order.
    """

    def __init__(self, objects: Mapping[str, int | InputError]) -> None:
        super().__init__(Path("/nowhere"))
        self.objects = objects
        self.fetched: list[str] = []
        self.held: set[str] = set()
        self._changed = threading.Condition()

    def hold(self, *keys: str) -> None:
        """Do not let these come."""
        self.held |= {*keys}

    def cancel(self, *keys: str) -> None:
        """Let these come."""
        with self._changed:
            self.held -= {*keys}
            self._changed.notify_all()

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Return when something holds, which changes with what is fetched."""
        with self._changed:
            assert self._changed.wait_for(holds, LONGEST_S)

    def locate(self, key: str, folder: Path) -> LocalCopy:
        found = self.objects[key]
        if isinstance(found, InputError):
            raise found
        path = folder / key
        return LocalCopy(path, found, path.stat().st_size if path.exists() else 0)

    def fetch(self, key: str, copy: LocalCopy, on_progress: Callable[[int], None]) -> None:
        with self._changed:
            self.fetched.append(key)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: key not in self.held, LONGEST_S)
        if key == "bad":
            raise StoreError("the store is down")
        if key == "gone":
            raise InputError("does not exist")
        on_progress(copy.size_bytes)
        copy.path.write_bytes(bytes(copy.size_bytes))
