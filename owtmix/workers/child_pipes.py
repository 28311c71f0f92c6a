"""The pipes between a pool and its children: written and read without waiting for any one child."""

from __future__ import annotations

import os
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from owtmix.workers.base import Away
from owtmix.workers.child_process import Child

READ_BYTES: Final = 1 << 16


class ChildPipes:
    """The pipes of the children that were added and not removed."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def close(self) -> None:
        """Wait for no pipe any more; the pipes themselves stay as they are."""
        self._selector.close()

    def add(self, child: Child) -> None:
        """Listen to a new child, and send what is unsent."""
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)
        self._selector.register(child.process.stdin, selectors.EVENT_WRITE, child)

    def remove(self, child: Child) -> None:
        """Listen to a child no more, and drop what is unsent."""
        self._selector.unregister(child.process.stdout)
        if child.unsent:
            self._selector.unregister(child.process.stdin)
            child.unsent = memoryview(b"")

    @contextmanager
    def listening(self, away: Away | None) -> Iterator[None]:
        """Wake up in the block also when there is news of those who are ``away``."""
        if away:
            self._selector.register(away, selectors.EVENT_READ)
        try:
            yield
        finally:
            if away:
                self._selector.unregister(away)

    def heard(self, timeout_s: float) -> Iterator[Child]:
        """Wait for what pipes take and have, send the former, and yield the children that can be read.

        They include a child that was removed since the wait.
        """
        for key, _ in self._selector.select(timeout_s):
            child: Child | None = key.data
            if child is None:  # there is news of those who are away, whose turn comes
                continue
            if key.fileobj == child.process.stdin:
                self._send(child)
            else:
                yield child

    def read(self, child: Child) -> bytes:
        """The next bytes that a child has said; none when it has closed its pipe."""
        return os.read(child.process.stdout, READ_BYTES)

    def send(self, child: Child, data: bytes) -> None:
        """Send ``data`` after what is unsent, as the pipe takes it."""
        if not child.unsent:
            self._selector.register(child.process.stdin, selectors.EVENT_WRITE, child)
        child.unsent = memoryview(bytes(child.unsent) + data)

    def _send(self, child: Child) -> None:
        """Write as much as the pipe takes."""
        if not child.unsent:  # the child was removed in this turn
            return
        try:
            written = os.write(child.process.stdin, child.unsent)
        except BlockingIOError:
            return
        except BrokenPipeError:  # it died; the end of its other pipe reports that
            written = len(child.unsent)
        child.unsent = child.unsent[written:]
        if not child.unsent:
            self._selector.unregister(child.process.stdin)
