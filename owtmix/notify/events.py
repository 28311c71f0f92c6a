"""The events of an offline mix: names, fields, numbers and order (semantics.md, "Callbacks"; sections 14.1, 14.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any, Final, Literal

from owtmix.base.errors import CODE_FAILED, DestinationError, MixError
from owtmix.base.ids import StreamId
from owtmix.plan.model import RenderPlan

VERSION: Final = "1.0"

Service = Literal["job.mixer", "job.oss"]
"""The services that have events here; ``job.record`` and ``job.living`` are of the live service."""

_DROPPABLE: Final = {"ucloud_mixer_stream_update", "ucloud_mixer_warning"}


class ServiceStatus(IntEnum):
    """Section 14.4, in the document's spelling."""

    SERVICE_STATUS_IDEL = 0
    SERVICE_STATUS_RUNNING = 1
    SERVICE_STATUS_EXITING = 2
    SERVICE_STATUS_INTERRUPT = 3


class WarnCode(IntEnum):
    """Section 14.5; those from 101 are of the offline mix."""

    SERVICE_WARN_PROCESS_RESTART = 1
    INPUT_LEFT_OUT = 101
    INPUT_DAMAGED = 102
    WATERMARK_LEFT_OUT = 103
    STREAMS_BEYOND_LIMIT = 104


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell the receivers of ``service``; ``data`` is the event's ``Data``, in the order it is sent."""

    service: Service
    type: str
    data: Mapping[str, Any]

    @property
    def droppable(self) -> bool:
        """Whether a receiver that does not keep up may miss it."""
        return self.type in _DROPPABLE

    @property
    def ends_run(self) -> bool:
        """Whether it is the last one of a run."""
        return self.type == "ucloud_mixer_status_update" and self.data["Status"] in {
            ServiceStatus.SERVICE_STATUS_EXITING,
            ServiceStatus.SERVICE_STATUS_INTERRUPT,
        }

    def body(self, job_id: str, request_id: str, token: str | None) -> str:
        """The request's JSON (14.1); without ``Token`` where the receiver has none."""
        common: dict[str, Any] = {"Version": VERSION}
        if token is not None:
            common["Token"] = token
        common |= {
            "ServiceType": self.service,
            "EventType": self.type,
            "Internal": {"JobId": job_id, "RequestId": request_id},
            "Data": self.data,
        }
        return json.dumps(common)


def started() -> Event:
    """The first event of every run."""
    return _status(ServiceStatus.SERVICE_STATUS_RUNNING)


def stream_updates(plan: RenderPlan) -> tuple[Event, ...]:
    """Every join (``open``) and leave (``close``) on the timeline; at one moment the leaves come first.

    ``TimeStamp`` is in epoch milliseconds, or, where the index has no epoch, in milliseconds since the output's start.
    """
    moves = sorted(_moves(plan), key=lambda move: move[:2])
    return tuple(
        _mixer(
            "stream_update",
            StreamUid=str(stream),
            Status="open" if opens else "close",
            TimeStamp=str(round(stamp_s * 1000)),
        )
        for _, opens, stamp_s, stream in moves
    )


def _moves(plan: RenderPlan) -> Iterator[tuple[Fraction, bool, Fraction, StreamId]]:
    """When in output time, whether it is a join, the time stamp in seconds, and who."""
    for stream, on_gpu in plan.presence.items():
        for stay in on_gpu:
            # Nothing is cut while somebody is there, but right after the leave something may be.
            joined_s = plan.epoch_at(stay.start)
            if joined_s is None:
                joined_s = stay.start
            yield stay.start, True, joined_s, stream
            yield stay.end, False, joined_s + stay.duration, stream


def warning(code: WarnCode, message: str) -> Event:
    return _mixer("warning", WarnCode=int(code), WarnMsg=message)


def left_out(plan: RenderPlan) -> tuple[Event, ...]:
    """A warning for every recording that the mix has to do without."""
    return tuple(warning(WarnCode.INPUT_LEFT_OUT, f"{key} is left out: {reason}") for key, reason in plan.left_out)


def finished(files: Sequence[str]) -> tuple[Event, ...]:
    """How a run ends that published ``files``, the addresses of its outputs."""
    return (
        _mixer("file_infos", FileList=list(files)),
        _upload(0, files),
        _status(ServiceStatus.SERVICE_STATUS_EXITING),
    )


def failed(error: BaseException, files: Sequence[str] = ()) -> tuple[Event, ...]:
    """How a run ends that did not publish ``files``, the addresses where its outputs would have been.

    Only the text of our own errors is told: nobody knows what an unexpected one holds.
    """
    if isinstance(error, MixError):
        code, message = error.code, error.message
    else:
        code, message = CODE_FAILED, f"an unexpected error: {type(error).__name__}"
    return (
        *([_upload(1, files)] if isinstance(error, DestinationError) else []),
        _mixer("error", ErrorCode=code, ErrorMsg=message),
        _status(ServiceStatus.SERVICE_STATUS_INTERRUPT),
    )


def _status(status: ServiceStatus) -> Event:
    return _mixer("status_update", Status=int(status), StatusName=status.name)


def _upload(status: Literal[0, 1], files: Sequence[str]) -> Event:
    return Event("job.oss", "ucloud_upload_status", {"Status": status, "FileList": list(files)})


def _mixer(kind: str, **data: object) -> Event:
    return Event("job.mixer", f"ucloud_mixer_{kind}", data)
