"""The result of a job: what the command prints, and what the public API returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from owtmix.jobs.announcer import Announcer, CallbackCount
from owtmix.jobs.compose import Published
from owtmix.plan.input_report import InputReport
from owtmix.plan.plain_values import to_json
from owtmix.plan.turns import Turn


@dataclass(frozen=True, slots=True)
class ChunkCount:
    """The chunks of the picture; ``reused`` of them were made by an earlier run."""

    total: int
    reused: int


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """The devices that composed the picture, the encoder, and why this device was chosen."""

    composed_on: tuple[str, ...]
    encoder: str
    why: str


@dataclass(frozen=True, slots=True)
class StreamUse:
    """The streams of the index that are in the output, and those that are not."""

    used: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """A recording that is not used, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileUse:
    """The recordings that were used, and those that were not."""

    used: tuple[str, ...]
    left_out: tuple[LeftOutFile, ...]


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job made.

    Attributes:
        job_id: the job.
        output: address of the output: a path or a URL.
        duration_s: length of the output in seconds.
        frames: number of its frames; 0 without a picture.
        chunks: chunks of the picture.
        device: what composed it; None without a picture.
        streams: streams of the index.
        files: recordings of the index.
        inputs: what is known of each recording, and up to where it is used.
        warnings: sentences, in the order in which they were given.
        seconds: time that ``planning``, ``composing`` and ``publishing`` took, in seconds.
        callbacks: how many were delivered and how many are left; None in a job without receivers.
        confinement: the layers (docs/security.md) that confined the processes that read recordings.
        speakers: who spoke when, in order of the turns' beginnings; None where that decided nothing.
    """

    job_id: str
    output: str
    duration_s: float
    frames: int
    chunks: ChunkCount
    device: DeviceUse | None
    streams: StreamUse
    files: FileUse
    inputs: tuple[InputReport, ...]
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]
    callbacks: CallbackCount | None = None
    confinement: tuple[str, ...] = ()
    speakers: tuple[Turn, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values, as the command prints it."""
        values: dict[str, Any] = to_json(self)
        return values | {"duration_s": self.duration_s, "seconds": dict(self.seconds)}


def job_result(published: Published, announcer: Announcer, seconds: Mapping[str, float]) -> JobResult:
    """The result of a job that published its output."""
    composed = published.composed
    result, plan, lost = composed.result, composed.result.plan, composed.result.lost
    picture = plan.picture
    left_out = [*((plan.sources[number].key, reason) for number, reason in lost.items()), *plan.left_out]
    return JobResult(
        job_id=plan.job_id,
        output=published.address,
        duration_s=float(plan.duration_s),
        frames=picture.frames if picture else 0,
        chunks=ChunkCount(result.chunks, result.reused),
        device=DeviceUse(tuple(result.devices), picture.encoding.encoder, composed.prepared.setup.device.why)
        if picture
        else None,
        streams=StreamUse(tuple(map(str, plan.presence)), tuple(map(str, plan.absent))),
        files=FileUse(
            tuple(source.key for number, source in enumerate(plan.sources) if number not in lost),
            tuple(LeftOutFile(key, reason) for key, reason in left_out),
        ),
        inputs=composed.reports,
        warnings=tuple(announcer.warnings),
        seconds=seconds,
        callbacks=announcer.callbacks,
        confinement=plan.confinement,
        speakers=plan.speakers,
    )
