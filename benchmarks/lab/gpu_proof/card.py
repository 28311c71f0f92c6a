"""The card of a part, or what stands in for it."""

from __future__ import annotations

from typing import Final, Protocol

from benchmarks.lab.gpu_proof.setting import Setting
from benchmarks.lab.gpu_timing import MEMORY, Timed
from owtmix.media.nvdec import DecodingGpu
from owtmix.plan.device import CPU, RenderDevice

NUMBER: Final = 0


class Card(Timed, DecodingGpu, Protocol):
    """A GPU that draws, decodes and tells the time."""

    @property
    def name(self) -> str: ...
    def used_mib(self) -> int: ...


def open_card(setting: Setting, frames: int = 1) -> Card:
    """The card, whose launches draw ``frames`` at once; the host where it is pretended.

    Raises:
        DeviceError: there is none, or it does not work.
    """
    if setting.pretend:
        from tests.support.card.host_card import HostCard
        from tests.support.card.kernel import compiled

        compiled(frames)
        return HostCard()
    from benchmarks.lab.timed_gpu import TimedGpu

    return TimedGpu(NUMBER, frames)


def device_of(setting: Setting) -> RenderDevice:
    """What composes in this process."""
    return CPU if setting.pretend else RenderDevice("it is proven", NUMBER, memory_bytes=MEMORY)


def option_of(setting: Setting) -> str:
    """The value of ``--device`` for jobs on the card."""
    return "cpu" if setting.pretend else f"cuda:{NUMBER}"
