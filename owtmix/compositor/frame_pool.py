"""A pool of output frames that a canvas draws on again once their users have released them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Generic, Self, TypeVar


class PooledFrame:
    """A frame with a count of users; it is not drawn on while it has any."""

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
    """The frames of one canvas; all share ``returned``. ``last`` is the frame drawn last, which is not given out."""

    def __init__(self, returned: threading.Condition, frames: Iterable[FrameT]) -> None:
        self._returned = returned
        self._frames = list(frames)
        self.last: FrameT | None = None

    def acquire_free(self) -> FrameT:
        """Acquire a frame without users; waits for one."""
        with self._returned:
            while True:
                found = next((frame for frame in self._frames if not frame.users and frame is not self.last), None)
                if found:
                    found.users = 1
                    return found
                self._returned.wait()
