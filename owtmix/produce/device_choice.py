"""Which device composes: the GPU that is asked for, the first that works, or the CPU; and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from owtmix.base.errors import Problem, SpecError
from owtmix.plan.device import RenderDevice
from owtmix.produce.gpu_check import GpuCheckTask, GpuInfo
from owtmix.workers.alone import do_alone
from owtmix.workers.base import Executor

EXTRAS: Final = "the extra cuda12 or cuda13 of owtmix is not installed"
_log = logging.getLogger(__name__)


def choose_device(
    executor: Executor,
    wanted: str,
    memory_bytes: int,
    is_installed: Callable[[], bool] = lambda: bool(find_spec("cupy")),
    has_card: Callable[[], bool] = lambda: Path("/dev/nvidiactl").exists(),
    folder: Path | None = None,
) -> RenderDevice:
    """The device that ``--device wanted`` means on this machine: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Args:
        executor: checks the GPUs.
        wanted: the option.
        memory_bytes: what one process may take of a GPU's memory.
        is_installed: whether CuPy is installed.
        has_card: whether the machine has a GPU's driver.
        folder: for what is encoded on trial.

    Raises:
        SpecError: a GPU was asked for, and does not work.
    """
    device = _chosen(executor, wanted, memory_bytes, is_installed, folder)
    executor.allow(gpu=device.gpu is not None)
    # Most machines have neither a GPU nor the extra for it: that is worth a line only to those who look for it.
    level = logging.DEBUG if device.why == EXTRAS and not has_card() else logging.INFO
    _log.log(level, "composing on %s: %s", "the CPU" if device.gpu is None else device.name, device.why)
    return device


def _chosen(
    executor: Executor, wanted: str, memory_bytes: int, is_installed: Callable[[], bool], folder: Path | None
) -> RenderDevice:
    if wanted == "cpu":
        return RenderDevice("--device cpu")
    found = _check(executor, wanted, folder) if is_installed() else EXTRAS
    if isinstance(found, GpuInfo):
        encoder = "and encodes" if found.encodes else "and does not encode H.264"
        return RenderDevice(f"{found.model} composes {encoder}", found.number, found.encodes, memory_bytes)
    if wanted != "auto":
        raise SpecError(Problem("", f"--device {wanted}: {found}; --device cpu or auto composes without a GPU"))
    return RenderDevice(found)


def _check(executor: Executor, wanted: str, folder: Path | None) -> GpuInfo | str:
    """The GPU, or why there is none."""
    executor.allow(gpu=True)
    number = int(wanted.partition(":")[2] or 0) if wanted != "auto" else None
    outcome = do_alone(executor, GpuCheckTask(number, folder))
    found: GpuInfo | None = outcome.value
    return found or str(outcome.error or f"checking it {outcome.death}")
