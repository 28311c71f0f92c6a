"""A graphics card that is none, for whole jobs: its kernel runs on the host. Children import this module.

What is wrong with it is told by ``why`` of the job's equipment: ``lost``, ``full``, ``hangs`` or ``works``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
from av.codec.hwaccel import HWAccel
from numpy.typing import NDArray

from owtmix.canvas.device import Mark
from owtmix.tasks import Studio
from owtmix.tracks import Material
from tests.canvas.lazy_device import LazyDevice, seen

MODULE: Final = "owtmix.canvas.cuda"
AFTER: Final = 5
"""So many frames are drawn before something goes wrong."""


class Silent:
    """News that nobody listens to."""

    def advance(self, done_s: float) -> None: ...
    def mark(self, done_s: float) -> None: ...
    def wait(self) -> None:
        pass

    def warn(self, message: str) -> None: ...


class StandIn(LazyDevice):
    name = "cuda:0"
    model = "Stand-in"

    def __init__(self, how: str) -> None:
        super().__init__(room=1 << 18 if how == "full" else 1 << 28)
        self._how = how

    def launch(self, batch: NDArray[Any], grid: tuple[int, int, int], after: Iterable[Mark], mark: Mark) -> None:
        super().launch(batch, grid, after, mark)
        if self.launches > AFTER and self._how == "hangs":
            time.sleep(3600)
        self.lost = self.launches > AFTER and self._how == "lost"

    def hardware(self) -> HWAccel:
        return HWAccel("cuda", "63", is_hw_owned=True)

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        return np.stack([seen(address + row * pitch, width) for row in range(rows)])


def install(how: str) -> None:
    """Let the one card of this process be a stand-in."""
    module: Any = ModuleType(MODULE)
    module.count = lambda: 1
    module.open_device = lambda _number: StandIn(how)
    sys.modules[MODULE] = module


@dataclass(frozen=True, slots=True)
class StandInStudio(Studio):
    """Composes on the stand-in."""

    def material(self) -> Material:
        if self.equipment.card is not None:
            install(self.equipment.why)
        return Studio.material(self)
