"""A device without a GPU: the kernel, compiled for the host, and work that is done as late as fences allow.

What reads or changes memory too early draws wrong pixels here: with ``hasty``, where uploads alone are done at once,
memory that is filled again although what was drawn of it is not done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from ctypes import POINTER, c_uint8, cast
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.compositor.gpu.device import DeviceError, Fence
from tests.compositor.gpu.kernel import compose

Work = Callable[[], None]


@dataclass(eq=False)
class Queue:
    """Work of one kind, in order."""

    waiting: deque[Work] = field(default_factory=deque)
    done: int = 0

    def run(self, until: int) -> None:
        while self.done < until:
            self.done += 1
            self.waiting.popleft()()


@dataclass(eq=False)
class LazyFence:
    device: LazyDevice
    queue: Queue | None = None
    until: int = 0

    def set(self, queue: Queue) -> None:
        self.queue, self.until = queue, queue.done + len(queue.waiting)

    def wait(self) -> None:
        with self.device.lock:
            if self.device.lost:
                raise DeviceError("lazy:0 is lost")
            self.reach()

    def reach(self) -> None:
        if self.queue:
            self.queue.run(self.until)


@dataclass(eq=False)
class LazyMemory:
    array: NDArray[np.uint8]

    @property
    def address(self) -> int:
        return self.array.ctypes.data


class LazyDevice:
    """``room`` is how much memory it has, ``lost`` whether it answers no more; ``launches`` counts."""

    name = "lazy:0"

    def __init__(self, room: int = 1 << 30, *, hasty: bool = False) -> None:
        self.room = room
        self._hasty = hasty
        self.lost = False
        self.launches = 0
        self.uploaded = 0
        self.pinned_bytes = 0
        self.lock = threading.RLock()
        self._uploads, self._drawing, self._downloads, self._decoding = Queue(), Queue(), Queue(), Queue()

    def allocate(self, size: int) -> LazyMemory:
        self._check()
        self.room -= size
        if self.room < 0:
            raise DeviceError(f"{self.name} is full")
        return LazyMemory(np.full(size, 77, np.uint8))

    def pinned(self, size: int) -> NDArray[np.uint8]:
        self.pinned_bytes += size
        return np.full(size, 88, np.uint8)

    def fence(self) -> LazyFence:
        return LazyFence(self)

    def upload(self, source: NDArray[np.uint8], address: int, fence: Fence) -> None:
        self.uploaded += source.size
        self._give(self._uploads, lambda: _copy(source, address), fence)
        if self._hasty:
            fence.wait()

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        assert grid[2] == batch["frames"].shape[0]
        self.launches += 1
        needed = _frozen(after)

        def work() -> None:
            for queue, until in needed:
                queue.run(until)
            compose(batch)

        self._give(self._drawing, work, fence)

    def download(self, address: int, target: NDArray[np.uint8], after: Fence, fence: Fence) -> None:
        needed = _frozen([after])

        def work() -> None:
            for queue, until in needed:
                queue.run(until)
            target[:] = seen(address, target.size)

        self._give(self._downloads, work, fence)

    def frame(self, address: int, size: Size, pitch: int) -> VideoFrame:
        rows = seen(address, pitch * size.height * 3 // 2).reshape(-1, pitch)[:, : size.width]
        return VideoFrame.from_dlpack((rows[: size.height], rows[size.height :]), "nv12", size.width, size.height)

    def fence_decoding(self, fence: Fence) -> None:
        self._give(self._decoding, lambda: None, fence)

    def _give(self, queue: Queue, work: Work, fence: Fence) -> None:
        self._check()
        assert isinstance(fence, LazyFence)
        with self.lock:
            queue.waiting.append(work)
            fence.set(queue)

    def _check(self) -> None:
        if self.lost:
            raise DeviceError(f"{self.name} is lost")


def _frozen(fences: Iterable[Fence]) -> list[tuple[Queue, int]]:
    """Where the fences are now."""
    found = []
    for fence in fences:
        assert isinstance(fence, LazyFence)
        if fence.queue:
            found.append((fence.queue, fence.until))
    return found


def seen(address: int, size: int) -> NDArray[np.uint8]:
    """Memory as an array."""
    return np.ctypeslib.as_array(cast(address, POINTER(c_uint8)), (size,))


def _copy(source: NDArray[np.uint8], address: int) -> None:
    seen(address, source.size)[:] = source
