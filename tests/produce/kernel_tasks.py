"""Tasks of a worker that reads compiled kernels, and tries to falsify them. Workers import this module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from owtmix.compositor.gpu.kernel_cache import find_kernel
from owtmix.workers.base import TaskReporter


@dataclass(frozen=True, slots=True)
class KernelTask:
    """Returns the size of a kernel in ``folder``, and the ways in which the folder could be changed."""

    result: ClassVar = tuple[int, list[str]]
    folder: Path
    kernel: str
    name = "the kernel"

    def run(self, _reporter: TaskReporter) -> tuple[int, list[str]]:
        found = find_kernel(self.folder, self.kernel)
        path = self.folder / f"{self.kernel}.kernel"
        ways: dict[str, Callable[[], object]] = {
            "write": lambda: path.open("r+b"),
            "add": (self.folder / "new").touch,
            "replace": lambda: path.rename(self.folder / "old"),
            "remove": path.unlink,
        }
        return len(found or b""), [name for name, change in ways.items() if succeeds(change)]


def succeeds(change: Callable[[], object]) -> bool:
    try:
        change()
    except OSError:
        return False
    return True
