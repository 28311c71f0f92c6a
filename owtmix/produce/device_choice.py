"""Which device composes: the GPU that is asked for, the least loaded that works, or the CPU; and why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from owtmix.base.errors import SetupError
from owtmix.base.own_files import make_folder
from owtmix.compositor.gpu.kernel_cache import keep_kernel
from owtmix.plan.device import RenderDevice
from owtmix.produce.gpu_check import GpuCheckTask, GpuInfo
from owtmix.workers.alone import do_alone
from owtmix.workers.base import Executor
from owtmix.workers.card_holds import CardHolds, may_need_session
from owtmix.workers.card_list import NO_EXTRA, CardList, ListedCard, list_cards
from owtmix.workers.card_models import model_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Machine:
    """What is asked of this machine: whether CuPy is installed, whether a GPU's driver is, and which cards it lists."""

    is_installed: Callable[[], bool] = lambda: bool(find_spec("cupy"))
    has_card: Callable[[], bool] = lambda: Path("/dev/nvidiactl").exists()
    list_cards: Callable[[], CardList] = list_cards


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What a job does with a GPU.

    Attributes:
        memory_bytes: what one process may take of its memory.
        encodes: whether there is H.264 to encode.
        workers: how many processes may encode at a time.
        holds: takes what the job holds of a GPU; None where somebody else placed the job, and holds that for it.
        kernels: the folder of compiled kernels; None for none.
        folder: for what is encoded on trial; by default that for temporary files.
        card: the UUID of the card of an earlier run, which is taken again; empty where there is none.
    """

    memory_bytes: int
    encodes: bool = True
    workers: int = 1
    holds: CardHolds | None = None
    kernels: Path | None = None
    folder: Path | None = None
    card: str = ""


THIS_MACHINE: Final = Machine()


def choose_device(executor: Executor, wanted: str, use: GpuUse, machine: Machine = THIS_MACHINE) -> RenderDevice:
    """The device that ``--device wanted`` means on this machine: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    It waits as long as other jobs hold all sessions of an encoder that the job may need.

    Args:
        executor: checks the GPUs.
        wanted: the option.
        use: what the job does with a GPU.
        machine: this machine.

    Raises:
        SetupError: a GPU was asked for, and does not work.
    """
    device = _chosen(executor, wanted, use, machine)
    executor.allow(gpu=device.gpu is not None)
    # Most machines have neither a GPU nor the extra for it: that is worth a line only to those who look for it.
    level = logging.DEBUG if device.why == NO_EXTRA and not machine.has_card() else logging.INFO
    _log.log(level, "composing on %s: %s", "the CPU" if device.gpu is None else device.name, device.why)
    return device


def _chosen(executor: Executor, wanted: str, use: GpuUse, machine: Machine) -> RenderDevice:
    if wanted == "cpu":
        return RenderDevice("--device cpu")
    found = _check(executor, wanted, use, machine) if machine.is_installed() else NO_EXTRA
    if isinstance(found, GpuInfo):
        return _device(found, use)
    if wanted != "auto":
        raise SetupError(f"--device {wanted}: {found}; --device cpu or auto composes without a GPU")
    return RenderDevice(found)


def _device(found: GpuInfo, use: GpuUse) -> RenderDevice:
    """The GPU that was found, whose sessions are held as far as the job encodes."""
    model, sessions = model_of(found.model), 0
    if use.holds and found.encodes and use.encodes and model.needs_session:
        sessions = use.holds.more_sessions(use.workers)
    elif use.holds:
        use.holds.give_back_sessions()
    if use.encodes and not found.encodes and model.known and model.nvenc:
        # Other programs may have all sessions, which nobody here can wait for.
        _log.warning("the encoder of %s takes no frames: x264 encodes", found.model)
    encoder = "" if not use.encodes else " and encodes" if found.encodes else " and does not encode H.264"
    why = f"{found.model} composes{encoder}"
    card = use.holds.card if use.holds else ""
    return RenderDevice(why, found.number, found.encodes, use.memory_bytes, sessions, use.kernels, card)


def _check(executor: Executor, wanted: str, use: GpuUse, machine: Machine) -> GpuInfo | str:
    """The GPU, or why there is none."""
    holds = use.holds
    cards: Sequence[ListedCard] = ()
    preferred: Sequence[ListedCard] = ()
    executor.allow(read=_readable(use.kernels), gpu=True)
    number = int(wanted.partition(":")[2] or 0) if wanted != "auto" else None
    if holds:
        cards = machine.list_cards().cards
        if number is None and len(cards) > 1:
            preferred = holds.least_loaded(cards, use.memory_bytes >> 20, use.card)
        # A card that needs no session waits for none, whatever others beside it need.
        if use.encodes and may_need_session(preferred[:1] or cards):
            holds.wait_for_session()
    places = tuple(card.bus for card in preferred)
    task = GpuCheckTask(number, use.folder, places, use.kernels, use.encodes)
    outcome = do_alone(executor, task)
    found: GpuInfo | None = outcome.value
    if holds and found and use.encodes and not holds.sessions and model_of(found.model).needs_session:
        holds.wait_for_session()  # the first card does not work
        outcome = do_alone(executor, replace(task, number=found.number))
        found = outcome.value
    if holds and found:
        holds.keep(_at(found.bus, cards))
    elif holds:
        holds.let_go()
    if found and found.kernel and use.kernels:
        keep_kernel(use.kernels, found.kernel)
    return found or str(outcome.error or f"checking it {outcome.death}")


def _at(bus: str, cards: Sequence[ListedCard]) -> ListedCard | None:
    return next((card for card in cards if card.bus == bus), None)


def _readable(kernels: Path | None) -> list[Path]:
    """The folder of kernels, which is there then; without it they are compiled."""
    if kernels is None:
        return []
    try:
        make_folder(kernels)
    except OSError as error:
        _log.debug("compiled kernels are not kept: %s", error)
        return []
    return [kernels]
