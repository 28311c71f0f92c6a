"""Frames that go round between a canvas and those who use what it has drawn."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Generic, Self, TypeVar


class PooledFrame:
    """A frame of a ring; it is not drawn on while it has users."""

    def __init__(self, returned: threading.Condition) -> None:
        self.users = 0
        self._returned = returned

    def acquire(self) -> Self:
        with self._returned:
            self.users += 1
        return self

    def release(self) -> None:
        with self._returned:
            self.users -= 1
            self._returned.notify()


FrameT = TypeVar("FrameT", bound=PooledFrame)


class FramePool(Generic[FrameT]):
    """The slots of one canvas; all share ``returned``. ``last`` is what was drawn last, and is kept."""

    def __init__(self, returned: threading.Condition, slots: Iterable[FrameT]) -> None:
        self._returned = returned
        self._slots = list(slots)
        self.last: FrameT | None = None

    def free(self) -> FrameT:
        """A slot that nobody uses, acquired; waits for one."""
        with self._returned:
            while True:
                found = next((slot for slot in self._slots if not slot.users and slot is not self.last), None)
                if found:
                    found.users = 1
                    return found
                self._returned.wait()
