"""``GpuDevice`` for NVIDIA GPUs, with CuPy. Nothing else imports CuPy; this module is imported for GPUs only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
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
from owtmix.compositor.gpu.kernel_args import BLOCK, KERNEL
from owtmix.compositor.gpu.kernel_loading import load_kernel

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
    """A CUDA event."""

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self.event = cupy.cuda.Event(block=True, disable_timing=True)

    def wait(self) -> None:
        with self._device.current():
            self.event.synchronize()


class CudaMemory:
    """Memory of the GPU."""

    def __init__(self, size: int) -> None:
        self._memory = cupy.cuda.memory.Memory(size)
        self.address: int = self._memory.ptr


class Nvrtc:
    """``Compiler`` of the current GPU: NVRTC, by way of CuPy, which chooses the architecture."""

    def __init__(self, name: str) -> None:
        self._name = name

    def versions(self) -> tuple[str, ...]:
        with _cuda_errors(self._name):
            compiler = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
            return cupy.__version__, compiler, str(runtime.driverGetVersion()), cupy.cuda.Device().compute_capability

    def compile(self, source: str, options: tuple[str, ...]) -> bytes:
        with _cuda_errors(self._name):
            code, _ = cupy.cuda.compiler.compile_using_nvrtc(source, options, None, "compose.cu", cache_in_memory=True)
            return bytes(code)

    def load(self, code: bytes) -> Any:
        with _cuda_errors(self._name):
            module = cupy.cuda.function.Module()
            module.load(code)
            return module.get_function(KERNEL)


class CudaDevice:
    """GPU ``number`` of those visible; a launch draws ``frames`` frames.

    Its ``kernel`` is that in the folder ``kernels``, or else compiled.

    Raises:
        DeviceError: there is no such GPU, or it does not work.
    """

    def __init__(self, number: int, frames: int = 1, kernels: Path | None = None) -> None:
        self.number = number
        self.name = f"cuda:{number}"
        with _cuda_errors(self.name):
            # FFmpeg first: it refuses a primary context that was created without its flags.
            self._decoding = HWAccel("cuda", str(number), is_hw_owned=True).create(Codec("h264", "r"))
            self._encoding = CudaContext(number)
            self._cupy_device = cupy.cuda.Device(number)
        with self.current():
            self._uploads, self._drawing, self._downloads = (cupy.cuda.Stream(non_blocking=True) for _ in range(3))
            self._function, self.kernel = load_kernel(Nvrtc(self.name), (f"-DFRAMES={frames}",), kernels)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU the current one of this thread; map errors to DeviceError."""
        with _cuda_errors(self.name), self._cupy_device:
            yield

    def allocate(self, size: int) -> CudaMemory:
        with self.current():
            return CudaMemory(size)

    def pinned(self, size: int) -> NDArray[np.uint8]:
        with self.current():
            return np.frombuffer(cupy.cuda.alloc_pinned_memory(size), np.uint8, size)

    def fence(self) -> CudaFence:
        with self.current():
            return CudaFence(self)

    def upload(self, source: NDArray[np.uint8], address: int, fence: Fence) -> None:
        assert isinstance(fence, CudaFence)
        with self.current():
            stream = self._uploads
            runtime.memcpyAsync(address, source.ctypes.data, source.size, runtime.memcpyHostToDevice, stream.ptr)
            fence.event.record(stream)

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Fence], fence: Fence) -> None:
        assert isinstance(fence, CudaFence)
        with self.current(), self._drawing as stream:
            for fence_before in after:
                assert isinstance(fence_before, CudaFence)
                stream.wait_event(fence_before.event)
            self._function(grid, BLOCK, (batch,))
            fence.event.record(stream)

    def download(self, address: int, target: NDArray[np.uint8], after: Fence, fence: Fence) -> None:
        assert isinstance(after, CudaFence)
        assert isinstance(fence, CudaFence)
        with self.current():
            stream = self._downloads
            stream.wait_event(after.event)
            runtime.memcpyAsync(target.ctypes.data, address, target.size, runtime.memcpyDeviceToHost, stream.ptr)
            fence.event.record(stream)

    def frame(self, address: int, size: Size, pitch: int) -> VideoFrame:
        """NV12 as a frame; the encoder needs both planes in one allocation."""
        with self.current():
            rows = size.height * 3 // 2
            # Unowned: the caller keeps the memory while the frame is used.
            memory = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(address, pitch * rows, self, self.number), 0)
            whole = cupy.ndarray((rows, pitch), np.uint8, memory)
            planes = whole[: size.height, : size.width], whole[size.height :, : size.width]
            return VideoFrame.from_dlpack(planes, "nv12", size.width, size.height, cuda_context=self._encoding)

    def fence_decoding(self, fence: Fence) -> None:
        """Set ``fence`` on the NULL stream, which decoders use; non-blocking streams do not wait for it."""
        assert isinstance(fence, CudaFence)
        with self.current():
            fence.event.record(cupy.cuda.Stream.null)

    def hardware(self) -> HWAccel:
        """Hardware acceleration for FFmpeg's decoders; one that does not support a stream decodes it on the CPU."""
        return HWAccel("cuda", str(self.number), is_hw_owned=True)

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        """Copy rows of a decoded frame: uint8 (rows, width), ``pitch`` bytes apart in the GPU's memory. Waits."""
        copied = np.empty((rows, width), np.uint8)
        with self.current():
            runtime.memcpy2D(copied.ctypes.data, width, address, pitch, width, rows, runtime.memcpyDeviceToHost)
        return copied

    @property
    def model(self) -> str:
        """The product name."""
        with self.current():
            return str(runtime.getDeviceProperties(self.number)["name"].decode())


@cache
def open_device(number: int, kernels: Path | None = None) -> CudaDevice:
    """The GPU, opened and the kernel loaded or compiled once per process.

    Raises:
        DeviceError: there is no such GPU, or it does not work.
    """
    return CudaDevice(number, kernels=kernels)


def gpu_buses() -> list[str]:
    """Where the visible GPUs are on the PCI bus, as ``0000:3B:00.0``, by their numbers. None of them is opened.

    Raises:
        DeviceError: there is no driver.
    """
    with _cuda_errors("cuda"):
        return [str(runtime.deviceGetPCIBusId(number)) for number in range(runtime.getDeviceCount())]


@contextmanager
def _cuda_errors(name: str) -> Iterator[None]:
    """Map errors of the libraries to DeviceError."""
    try:
        yield
    except DeviceError:
        raise
    except _FAILURES as error:
        reason = str(error).strip().partition("\n")[0]
        raise DeviceError(f"{name} fails: {reason or type(error).__name__}") from error
