"""The failure policy: a pure function from the ending of a task, and the current state, to decisions.

When the machine is short of something, the task is repeated, with less at a time, and then the job fails: no source is
to blame. An error counts when a new worker reports it again: a source may have taken over the first one. When a worker
dies otherwise, the GPU is suspected first, then the sources, then the GPU's encoder. Without a culprit the task is
repeated once. If it then takes too much memory again, the source that needs the most goes; another second death fails
the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from owtmix.base.errors import EncoderLost, MixError, RenderError, ShortageError
from owtmix.base.time import timecode
from owtmix.plan.device import CPU, RenderDevice
from owtmix.workers.alone import SHORTAGES, pause_after
from owtmix.workers.base import Death, DeathKind


@dataclass(frozen=True, slots=True)
class DecodeStop:
    """A source that cannot be decoded from output time ``at_s`` on, as its task reports.

    ``is_change`` says that its file is not the one any more that was planned.
    """

    source: int
    name: str
    at_s: Fraction
    reason: str
    is_change: bool = False


@dataclass(frozen=True, slots=True)
class Culprit:
    """A source that was decoded alone and killed its worker at output time ``at_s``."""

    source: int
    name: str
    at_s: Fraction
    death: Death


@dataclass(frozen=True, slots=True)
class Ending:
    """The ending of a task that makes ``track``: the picture, the sound, or the finished file.

    ``device`` composed the picture, ``on_gpu_encoder`` says whether a GPU encoded it. ``shortage`` says what the
    machine was short of, if that ended the task. ``culprits`` is None until the suspects were decoded alone.
    ``greediest`` is the suspect that took the most memory then.
    """

    name: str
    track: Literal["picture", "sound", "file"]
    device: RenderDevice = CPU
    on_gpu_encoder: bool = False
    error: MixError | None = None
    death: Death | None = None
    stops: tuple[DecodeStop, ...] = ()
    culprits: tuple[Culprit, ...] | None = None
    shortage: str | None = None
    greediest: Greedy | None = None


@dataclass(frozen=True, slots=True)
class Greedy:
    """A source that took ``peak_bytes`` when it was decoded alone; its task begins at output time ``at_s``."""

    source: int
    name: str
    at_s: Fraction
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class FailureState:
    """The ``device`` that composes now, whether a GPU encodes, and the names of tasks that were ``restarted``.

    ``shortages`` counts how often a task ended because the machine was short of something, by the task's name.
    """

    device: RenderDevice = CPU
    on_gpu_encoder: bool = False
    restarted: frozenset[str] = frozenset()
    shortages: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fail:
    """Fail the job."""

    error: MixError


@dataclass(frozen=True, slots=True)
class TrySuspects:
    """Decode the suspected sources alone, and decide again with the culprits."""


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Leave out a source from output time ``at_s`` on: its sound if ``sound``, else its picture.

    ``proven``: it killed its worker alone, so later runs need not try again.
    """

    source: int
    at_s: Fraction
    sound: bool
    message: str
    proven: bool = False


@dataclass(frozen=True, slots=True)
class GiveUpGpu:
    """Compose the missing chunks on ``device``, the CPU."""

    device: RenderDevice
    warning: str


@dataclass(frozen=True, slots=True)
class GiveUpGpuEncoder:
    """Encode the whole picture again with x264."""

    warning: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Repeat the task ``name`` once, in a new worker."""

    name: str
    warning: str


@dataclass(frozen=True, slots=True)
class RetryWithLess:
    """Repeat the task ``name`` after ``pause_s`` seconds, with less at a time."""

    name: str
    warning: str
    pause_s: float


Decision = Fail | TrySuspects | LeaveOut | GiveUpGpu | GiveUpGpuEncoder | Retry | RetryWithLess


def decide(ending: Ending, state: FailureState) -> tuple[Decision, ...]:
    """Decide what to do about an ending. The result is empty when the task succeeded or is just repeated as it is."""
    if ending.shortage:
        return _after_shortage(ending.name, ending.shortage, state)
    if ending.error:
        return _after_error(ending, ending.error, state)
    if ending.death:
        return _after_death(ending, ending.death, state)
    return tuple(_after_stop(stop, sound=ending.track == "sound") for stop in ending.stops)


def _after_stop(stop: DecodeStop, *, sound: bool) -> LeaveOut:
    instead = "silent" if sound else "a placeholder"
    message = f"{stop.name} fails at {timecode(stop.at_s)} and is {instead} from there on: {stop.reason}"
    return LeaveOut(stop.source, stop.at_s, sound, message)


def _after_error(ending: Ending, error: MixError, state: FailureState) -> tuple[Decision, ...]:
    if isinstance(error, EncoderLost) and ending.on_gpu_encoder:
        return _give_up_encoder(str(error), state)
    if ending.name in state.restarted:
        return (Fail(error),)
    return (Retry(ending.name, f"{ending.name} is made once more, by a new process: {error}"),)


def _after_death(ending: Ending, death: Death, state: FailureState) -> tuple[Decision, ...]:
    if ending.track == "picture" and ending.device.gpu is not None:
        return _give_up_gpu(ending.device, death, state)
    if ending.culprits is None and ending.track != "file":
        return (TrySuspects(),)
    if ending.culprits:
        return tuple(_leave_out(culprit, sound=ending.track == "sound") for culprit in ending.culprits)
    if ending.track == "picture" and ending.on_gpu_encoder:
        return _give_up_encoder(f"the process that encoded on the GPU {death}", state)
    if ending.name in state.restarted and death.kind is DeathKind.MEMORY and ending.greediest:
        return (_leave_out_greediest(ending.greediest, death),)
    return _retry_once(ending.name, death, state)


def _after_shortage(name: str, lack: str, state: FailureState) -> tuple[Decision, ...]:
    """Repeat a task that the machine ended, up to ``SHORTAGES`` times."""
    count = state.shortages.get(name, 0) + 1
    if count == SHORTAGES:
        return (Fail(ShortageError(f"{name} cannot be made: it was tried {count} times, and {lack}")),)
    return (RetryWithLess(name, f"{name} is made once more, with less at a time: {lack}", pause_after(count)),)


def _give_up_gpu(device: RenderDevice, death: Death, state: FailureState) -> tuple[Decision, ...]:
    """Give up the GPU, unless an earlier ending did so."""
    if state.device != device:
        return ()
    why = f"the process that composed on {device.name} {death}"
    return (GiveUpGpu(RenderDevice(why), f"{why}: what is missing of the picture is composed on the CPU"),)


def _give_up_encoder(why: str, state: FailureState) -> tuple[Decision, ...]:
    """Give up the GPU's encoder, unless an earlier ending did so."""
    if not state.on_gpu_encoder:
        return ()
    return (GiveUpGpuEncoder(f"{why}: the whole picture is encoded again, with x264"),)


def _retry_once(name: str, death: Death, state: FailureState) -> tuple[Decision, ...]:
    if name in state.restarted:
        message = f"{name} cannot be made: its process {death}, and no recording is to blame"
        return (Fail(RenderError(message)),)
    warning = f"the process that makes {name} {death}; no recording is to blame, and it is made once more"
    return (Retry(name, warning),)


def _leave_out(culprit: Culprit, *, sound: bool) -> LeaveOut:
    instead = "silence" if sound else "a placeholder"
    where = f"at {timecode(culprit.at_s)}: {instead} from there on"
    message = f"decoding {culprit.name} {culprit.death} {where}"
    return LeaveOut(culprit.source, culprit.at_s, sound, message, proven=True)


def _leave_out_greediest(greedy: Greedy, death: Death) -> LeaveOut:
    needs = f"decoding it takes the most memory, {greedy.peak_bytes >> 20} MiB alone"
    message = f"composing {death}: {greedy.name} is a placeholder from {timecode(greedy.at_s)} on, since {needs}"
    return LeaveOut(greedy.source, greedy.at_s, sound=False, message=message)
