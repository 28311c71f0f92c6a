"""A card of NVIDIA's, by way of CuPy. Only this imports cupy, and only where a card is asked for is it imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import av.error
import cupy
import numpy as np
from av.codec import Codec
from av.codec.hwaccel import HWAccel
from av.video.frame import CudaContext, VideoFrame
from cupy.cuda import runtime
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.compositor.gpu.device import DeviceError, Fence
from owtmix.compositor.gpu.kernel_args import BLOCK, KERNEL, SOURCE

_FAILURES: Final = (
    runtime.CUDARuntimeError,
    cupy.cuda.driver.CUDADriverError,
    cupy.cuda.memory.OutOfMemoryError,
    cupy.cuda.compiler.CompileException,
    av.error.FFmpegError,
    ImportError,
    RuntimeError,
)


class CudaFence:
    """An event."""

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self.event = cupy.cuda.Event(block=True, disable_timing=True)

    def wait(self) -> None:
        with self._device.at_work():
            self.event.synchronize()


class CudaMemory:
    """Memory on the card."""

    def __init__(self, size: int) -> None:
        self._memory = cupy.cuda.memory.Memory(size)
        self.address: int = self._memory.ptr


class CudaDevice:
    """Card ``number`` of those that are visible. ``frames`` is how many a launch draws.

    Raises:
        DeviceError: there is none, or it does not work.
    """

    def __init__(self, number: int, frames: int = 1) -> None:
        self.number = number
        self.name = f"cuda:{number}"
        with _cuda_errors(self.name):
            # FFmpeg first: it refuses the primary context once somebody has made it without its flags.
            self._decoding = HWAccel("cuda", str(number), is_hw_owned=True).create(Codec("h264", "r"))
            self._encoding = CudaContext(number)
            self._card = cupy.cuda.Device(number)
        with self.at_work():
            self._uploads, self._drawing, self._downloads = (cupy.cuda.Stream(non_blocking=True) for _ in range(3))
            module = cupy.RawModule(code=SOURCE.read_text(encoding="ascii"), options=(f"-DFRAMES={frames}",))
            self._kernel = module.get_function(KERNEL)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The card is this thread's; what goes wrong is a DeviceError."""
        with _cuda_errors(self.name), self._card:
            yield

    def allocate(self, size: int) -> CudaMemory:
        with self.at_work():
            return CudaMemory(size)

    def pinned(self, size: int) -> NDArray[np.uint8]:
        with self.at_work():
            return np.frombuffer(cupy.cuda.alloc_pinned_memory(size), np.uint8, size)

    def fence(self) -> CudaFence:
        with self.at_work():
            return CudaFence(self)

    def upload(self, source: NDArray[np.uint8], address: int, fence: Fence) -> None:
        assert isinstance(fence, CudaFence)
        with self.at_work():
            stream = self._uploads
            runtime.memcpyAsync(address, source.ctypes.data, source.size, runtime.memcpyHostToDevice, stream.ptr)
            fence.event.record(stream)

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        assert isinstance(fence, CudaFence)
        with self.at_work(), self._drawing as stream:
            for needed in after:
                assert isinstance(needed, CudaFence)
                stream.wait_event(needed.event)
            self._kernel(grid, BLOCK, (batch,))
            fence.event.record(stream)

    def download(self, address: int, target: NDArray[np.uint8], after: Fence, fence: Fence) -> None:
        assert isinstance(after, CudaFence)
        assert isinstance(fence, CudaFence)
        with self.at_work():
            stream = self._downloads
            stream.wait_event(after.event)
            runtime.memcpyAsync(target.ctypes.data, address, target.size, runtime.memcpyDeviceToHost, stream.ptr)
            fence.event.record(stream)

    def frame(self, address: int, size: Size, pitch: int) -> VideoFrame:
        """NV12 as a frame; the encoder wants both planes in one piece of memory."""
        with self.at_work():
            rows = size.height * 3 // 2
            # Whoever holds the frame holds its memory by another way.
            memory = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(address, pitch * rows, self, self.number), 0)
            whole = cupy.ndarray((rows, pitch), np.uint8, memory)
            planes = whole[: size.height, : size.width], whole[size.height :, : size.width]
            return VideoFrame.from_dlpack(planes, "nv12", size.width, size.height, cuda_context=self._encoding)

    def fence_decoding(self, fence: Fence) -> None:
        """Decoders work on the NULL stream, which the streams here do not wait for of themselves."""
        assert isinstance(fence, CudaFence)
        with self.at_work():
            fence.event.record(cupy.cuda.Stream.null)

    def hardware(self) -> HWAccel:
        """What FFmpeg's decoders are told; where they refuse the card they decode on the CPU."""
        return HWAccel("cuda", str(self.number), is_hw_owned=True)

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        """Lines of what a decoder left on the card, shape (rows, width); waits for it."""
        found = np.empty((rows, width), np.uint8)
        with self.at_work():
            runtime.memcpy2D(found.ctypes.data, width, address, pitch, width, rows, runtime.memcpyDeviceToHost)
        return found

    @property
    def model(self) -> str:
        """What the card is called by those who make it."""
        with self.at_work():
            return str(runtime.getDeviceProperties(self.number)["name"].decode())


@cache
def open_device(number: int) -> CudaDevice:
    """The card, opened and the kernel compiled once in a process.

    Raises:
        DeviceError: there is none, or it does not work.
    """
    return CudaDevice(number)


def gpu_count() -> int:
    """How many cards are visible.

    Raises:
        DeviceError: there is no driver.
    """
    with _cuda_errors("cuda"):
        return int(runtime.getDeviceCount())


@contextmanager
def _cuda_errors(name: str) -> Iterator[None]:
    """Errors of the libraries as ours."""
    try:
        yield
    except DeviceError:
        raise
    except _FAILURES as error:
        words = str(error).strip().partition("\n")[0]
        raise DeviceError(f"{name} fails: {words or type(error).__name__}") from error
