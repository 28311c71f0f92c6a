"""The kernel on the device against the reference in NumPy, to the last bit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.lab.gpu_proof.card import open_card
from benchmarks.lab.gpu_proof.setting import Finding, Setting, tried, untried
from owtmix.base.geometry import Orientation, Rect, Size
from owtmix.compositor.gpu.device import GpuDevice, Memory
from owtmix.compositor.gpu.kernel_args import grid
from owtmix.compositor.scale import Conversion
from owtmix.produce.gpu_check import check_composing
from tests.support.card.cases import differing, picture, random_items

CANVAS: Final = Size(72, 44)
SHARE: Final = 0.5
"""Of the part's time, for random items."""
MOST: Final = 2000
PRETENDED: Final = 20
LARGE: Final = (
    (Size(1280, 720), Size(384, 216)),
    (Size(640, 360), Size(960, 540)),
    (Size(1920, 1080), Size(640, 360)),
)
"""Sources and targets of real sizes."""


class DeviceBench:
    """The kernel on a device, in its own memory."""

    def __init__(self, device: GpuDevice) -> None:
        self._device = device
        self._placed: dict[int, tuple[NDArray[Any], Memory]] = {}

    def place(self, array: NDArray[Any]) -> int:
        memory, fence = self._device.allocate(array.nbytes), self._device.fence()
        self._device.upload(_bytes(array), memory.address, fence)
        fence.wait()
        self._placed[id(array)] = array, memory
        return memory.address

    def draw(self, batch: NDArray[Any]) -> None:
        fence = self._device.fence()
        self._device.launch(batch, grid(Size(*map(int, batch["size"])), len(batch["frames"])), [], fence)
        fence.wait()

    def read(self, array: NDArray[Any]) -> NDArray[Any]:
        target, fence = self._device.pinned(array.nbytes), self._device.fence()
        self._device.download(self._placed[id(array)][1].address, target, self._device.fence(), fence)
        fence.wait()
        return target.view(array.dtype).reshape(array.shape)


def run(setting: Setting) -> Iterator[Finding]:
    """The product's own check; random items; pictures of real sizes."""
    card = open_card(setting)
    yield tried("a frame drawn as on the CPU", partial(_checked, card))
    end_s, seeds, wrong = time.monotonic() + SHARE * setting.limit_s, 0, []
    for seed in range(PRETENDED if setting.pretend else MOST):
        bench, chance = DeviceBench(card), np.random.default_rng(seed)
        if different := differing(CANVAS, random_items(chance, CANVAS, bench), interleaved=seed % 2 == 0, bench=bench):
            wrong.append({"seed": seed, "samples": different})
        seeds += 1
        if time.monotonic() > end_s:
            break
    yield Finding("random items", {"frames": seeds, "different": len(wrong), "first": wrong[:5]}, ok=not wrong)
    for source, target in LARGE[: 1 if setting.pretend else None]:
        yield tried(f"{source} drawn at {target}", partial(_large, card, source, target))
    if setting.pretend:
        yield untried("the kernel as NVRTC compiles it, and CuPy's copies and launches")


def _checked(card: GpuDevice) -> Finding:
    check_composing(card)
    return Finding("a frame drawn as on the CPU", "as --device auto checks it", ok=True)


def _large(card: GpuDevice, source: Size, target: Size) -> Finding:
    bench, rect = DeviceBench(card), Rect(0, 0, target.width, target.height)
    conversion = Conversion(
        source,
        "nv12",
        Orientation.UPRIGHT,
        Rect(0, 0, source.width, source.height),
        target,
        ("bt601", "bt709"),
        full_range=False,
        interlaced=False,
    )
    different = differing(target, [picture(conversion, rect, rect, 1, bench)], bench=bench)
    return Finding(f"{source} drawn at {target}", {"different samples": different}, ok=not different)


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
