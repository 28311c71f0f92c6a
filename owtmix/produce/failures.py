"""The failure policy: a pure function from the ending of a task, and the current state, to decisions.

When a worker dies, the GPU is suspected first, then the sources, then the GPU's encoder. Without a culprit the task is
repeated once, and a second such death fails the job.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from owtmix.base.errors import EncoderLost, MixError, RenderError
from owtmix.base.time import timecode
from owtmix.plan.device import CPU, RenderDevice
from owtmix.workers.base import Death, DeathKind, Outcome, TaskT


@dataclass(frozen=True, slots=True)
class DecodeStop:
    """The picture of a source that cannot be decoded from output time ``at_s`` on, as its task reports."""

    source: int
    name: str
    at_s: Fraction
    reason: str


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

    ``device`` composed the picture, ``on_gpu_encoder`` says whether a GPU encoded it. ``culprits`` is None until the
    suspects were decoded alone.
    """

    name: str
    track: Literal["picture", "sound", "file"]
    device: RenderDevice = CPU
    on_gpu_encoder: bool = False
    error: MixError | None = None
    death: Death | None = None
    stops: tuple[DecodeStop, ...] = ()
    culprits: tuple[Culprit, ...] | None = None


@dataclass(frozen=True, slots=True)
class FailureState:
    """The ``device`` that composes now, whether a GPU encodes, and the names of tasks that were ``restarted``."""

    device: RenderDevice = CPU
    on_gpu_encoder: bool = False
    restarted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fail:
    """Fail the job."""

    error: MixError


@dataclass(frozen=True, slots=True)
class TrySuspects:
    """Decode the suspected sources alone, and decide again with the culprits."""


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Leave out a source from output time ``at_s`` on: its sound if ``sound``, else its picture."""

    source: int
    at_s: Fraction
    sound: bool
    message: str


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
    """Repeat the task ``name`` once."""

    name: str
    warning: str


Decision = Fail | TrySuspects | LeaveOut | GiveUpGpu | GiveUpGpuEncoder | Retry


def decide(ending: Ending, state: FailureState) -> tuple[Decision, ...]:
    """Decide what to do about an ending. The result is empty when the task succeeded or is just repeated as it is."""
    if ending.error:
        return _after_error(ending, ending.error, state)
    if ending.death:
        return _after_death(ending, ending.death, state)
    return tuple(
        LeaveOut(
            stop.source,
            stop.at_s,
            sound=False,
            message=f"{stop.name} fails at {timecode(stop.at_s)} and is a placeholder from there on: {stop.reason}",
        )
        for stop in ending.stops
    )


def _after_error(ending: Ending, error: MixError, state: FailureState) -> tuple[Decision, ...]:
    if isinstance(error, EncoderLost) and ending.on_gpu_encoder:
        return _give_up_encoder(str(error), state)
    return (Fail(error),)


def _after_death(ending: Ending, death: Death, state: FailureState) -> tuple[Decision, ...]:
    if ending.track == "picture" and ending.device.gpu is not None:
        return _give_up_gpu(ending.device, death, state)
    if ending.culprits is None and ending.track != "file":
        return (TrySuspects(),)
    if ending.culprits:
        return tuple(_leave_out(culprit, sound=ending.track == "sound") for culprit in ending.culprits)
    if ending.track == "picture" and ending.on_gpu_encoder:
        return _give_up_encoder(f"the process that encoded on the GPU {death}", state)
    return _retry_once(ending.name, death, state)


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
    return LeaveOut(culprit.source, culprit.at_s, sound, f"decoding {culprit.name} {culprit.death} {where}")


def proven_crashes(trials: Iterable[Outcome[TaskT]]) -> list[Outcome[TaskT]]:
    """The trials of suspects that killed their workers: the worker was not killed from outside."""
    return [trial for trial in trials if trial.death and trial.death.kind is not DeathKind.KILLED]


def unproven_crashes(trials: Iterable[Outcome[TaskT]]) -> list[Outcome[TaskT]]:
    """The trials to be repeated: a worker that is killed from outside proves nothing the first time."""
    return [trial for trial in trials if trial.death and trial.death.kind is DeathKind.KILLED]
