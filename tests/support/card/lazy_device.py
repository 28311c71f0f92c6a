"""A GPU on the host: the kernel is compiled for the CPU, and work runs as late as fences allow.

A missing wait for a fence draws wrong pixels here. With ``eager_uploads``, uploads run at once: that shows buffers that
are filled again before a launch has read them.
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
from tests.support.card.kernel import compose

Work = Callable[[], None]


@dataclass(eq=False)
class Queue:
    """A stream of work, in order."""

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
    """``free_bytes`` of memory; ``lost`` makes every call fail; counts launches, uploaded and pinned bytes."""

    name = "lazy:0"

    def __init__(self, free_bytes: int = 1 << 30, *, eager_uploads: bool = False) -> None:
        self.free_bytes = free_bytes
        self._eager_uploads = eager_uploads
        self.lost = False
        self.launches = 0
        self.uploaded = 0
        self.pinned_bytes = 0
        self.lock = threading.RLock()
        self._uploads, self._drawing, self._downloads, self._decoding = Queue(), Queue(), Queue(), Queue()

    def allocate(self, size: int) -> LazyMemory:
        self._check()
        self.free_bytes -= size
        if self.free_bytes < 0:
            raise DeviceError(f"{self.name} is full")
        return LazyMemory(np.full(size, 77, np.uint8))

    def pinned(self, size: int) -> NDArray[np.uint8]:
        self.pinned_bytes += size
        return np.full(size, 88, np.uint8)

    def fence(self) -> LazyFence:
        return LazyFence(self)

    def upload(self, source: NDArray[np.uint8], address: int, fence: Fence) -> None:
        self.uploaded += source.size
        self._submit(self._uploads, lambda: _copy(source, address), fence)
        if self._eager_uploads:
            fence.wait()

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        assert grid[2] == batch["frames"].shape[0]
        self.launches += 1
        needed = _points(after)

        def work() -> None:
            for queue, until in needed:
                queue.run(until)
            compose(batch)

        self._submit(self._drawing, work, fence)

    def download(self, address: int, target: NDArray[np.uint8], after: Fence, fence: Fence) -> None:
        needed = _points([after])

        def work() -> None:
            for queue, until in needed:
                queue.run(until)
            target[:] = memory_at(address, target.size)

        self._submit(self._downloads, work, fence)

    def frame(self, address: int, size: Size, pitch: int) -> VideoFrame:
        rows = memory_at(address, pitch * size.height * 3 // 2).reshape(-1, pitch)[:, : size.width]
        return VideoFrame.from_dlpack((rows[: size.height], rows[size.height :]), "nv12", size.width, size.height)

    def fence_decoding(self, fence: Fence) -> None:
        self._submit(self._decoding, lambda: None, fence)

    def _submit(self, queue: Queue, work: Work, fence: Fence) -> None:
        self._check()
        assert isinstance(fence, LazyFence)
        with self.lock:
            queue.waiting.append(work)
            fence.set(queue)

    def _check(self) -> None:
        if self.lost:
            raise DeviceError(f"{self.name} is lost")


def _points(fences: Iterable[Fence]) -> list[tuple[Queue, int]]:
    """The current points of the fences."""
    found = []
    for fence in fences:
        assert isinstance(fence, LazyFence)
        if fence.queue:
            found.append((fence.queue, fence.until))
    return found


def memory_at(address: int, size: int) -> NDArray[np.uint8]:
    """``size`` bytes at ``address``, as an array."""
    return np.ctypeslib.as_array(cast(address, POINTER(c_uint8)), (size,))


def _copy(source: NDArray[np.uint8], address: int) -> None:
    memory_at(address, source.size)[:] = source
