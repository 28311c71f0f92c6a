"""The events of an offline mix: names, fields, codes and order.

From the API document, sections 14.1 and 14.2, and docs/semantics.md, "Callbacks".
"""

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
"""Services with events in an offline mix; ``job.record`` and ``job.living`` belong to the live service."""

AnyService = Literal["job.mixer", "job.oss", "job.record", "job.living"]

_DROPPABLE: Final = {
    "ucloud_living_warning",
    "ucloud_mixer_stream_update",
    "ucloud_mixer_warning",
    "ucloud_record_warning",
}


class ServiceStatus(IntEnum):
    """Values of ``Status`` (API document, section 14.4), in the document's spelling."""

    SERVICE_STATUS_IDEL = 0
    SERVICE_STATUS_RUNNING = 1
    SERVICE_STATUS_EXITING = 2
    SERVICE_STATUS_INTERRUPT = 3


class WarnCode(IntEnum):
    """Values of ``WarnCode`` (API document, section 14.5). Codes from 101 are our own, those from 105 the service's."""

    SERVICE_WARN_PROCESS_RESTART = 1
    INPUT_LEFT_OUT = 101
    INPUT_DAMAGED = 102
    WATERMARK_LEFT_OUT = 103
    STREAMS_BEYOND_LIMIT = 104
    DISK_FULL = 105
    MIX_BEHIND = 106
    MIX_FLAWED = 107
    PUSH_BROKEN = 108
    PUSH_SLOW = 109


_OUTLINES: Final = {
    WarnCode.SERVICE_WARN_PROCESS_RESTART: "a process failed, and its work is done again",
    WarnCode.INPUT_LEFT_OUT: "is left out",
    WarnCode.INPUT_DAMAGED: "is damaged",
    WarnCode.WATERMARK_LEFT_OUT: "a watermark image is left out",
    WarnCode.STREAMS_BEYOND_LIMIT: "streams beyond MaxSubscriptions are left out",
    WarnCode.DISK_FULL: "the disk is full, and what comes is not recorded",
    WarnCode.MIX_BEHIND: "the mix is behind live",
    WarnCode.MIX_FLAWED: "the mix is not all that was asked for",
    WarnCode.PUSH_BROKEN: "a live stream is interrupted, and begun again",
    WarnCode.PUSH_SLOW: "a live stream is not taken as fast as it comes",
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event for the receivers of ``service``. ``data`` is its ``Data``, in the order of the JSON keys."""

    service: AnyService
    type: str
    data: Mapping[str, Any]

    @property
    def droppable(self) -> bool:
        """Whether the event may be dropped when a receiver does not keep up."""
        return self.type in _DROPPABLE

    @property
    def ends_run(self) -> bool:
        """Whether the event is the last one of a run."""
        return self.type == "ucloud_mixer_status_update" and self.data["Status"] in {
            ServiceStatus.SERVICE_STATUS_EXITING,
            ServiceStatus.SERVICE_STATUS_INTERRUPT,
        }

    def body(self, job_id: str, request_id: str, token: str | None) -> str:
        """The JSON request body (API document, section 14.1). ``Token`` is left out when it is None."""
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
    """The first event of a run."""
    return _status(ServiceStatus.SERVICE_STATUS_RUNNING)


def stream_updates(plan: RenderPlan) -> tuple[Event, ...]:
    """One event for each join (``open``) and leave (``close``), by time; at equal times leaves come first.

    ``TimeStamp`` is in milliseconds since 1970 or, when the index has no epoch, since the start of the output.
    """
    changes = sorted(_presence_changes(plan), key=lambda change: change[:2])
    return tuple(
        _mixer(
            "stream_update",
            StreamUid=str(stream),
            Status="open" if opens else "close",
            TimeStamp=str(round(stamp_s * 1000)),
        )
        for _, opens, stamp_s, stream in changes
    )


def _presence_changes(plan: RenderPlan) -> Iterator[tuple[Fraction, bool, Fraction, StreamId]]:
    """Yield (output time, whether it is a join, ``TimeStamp`` in seconds, stream)."""
    for stream, visits in plan.presence.items():
        for visit in visits:
            # A gap may be cut right after a leave, so the leave is counted from the join: no cut is in between.
            joined_s = plan.epoch_at(visit.start)
            if joined_s is None:
                joined_s = visit.start
            yield visit.start, True, joined_s, stream
            yield visit.end, False, joined_s + visit.duration, stream


def warning(code: WarnCode, message: str) -> Event:
    return _mixer("warning", WarnCode=int(code), WarnMsg=message)


def left_out(plan: RenderPlan) -> tuple[Event, ...]:
    """A warning for each recording that is left out of the mix."""
    return tuple(warning(WarnCode.INPUT_LEFT_OUT, f"{key} is left out") for key, _ in plan.left_out)


def recordings_of(plan: RenderPlan) -> tuple[str, ...]:
    """The keys of all recordings, used or not, the longest first."""
    keys = {source.key for source in plan.sources} | {key for key, _ in plan.left_out}
    return tuple(sorted(keys, key=len, reverse=True))


def kind_of(code: WarnCode) -> str:
    """What a warning of the service is about, in words for receivers."""
    return _OUTLINES[code]


def outline(code: WarnCode, message: str, recordings: Sequence[str]) -> str:
    """What receivers are told of the warning ``message``: its kind, and which of ``recordings`` it is about.

    The message itself stays here: it may quote libraries, recordings and paths of this machine.
    """
    if code not in {WarnCode.INPUT_LEFT_OUT, WarnCode.INPUT_DAMAGED}:
        return _OUTLINES[code]
    padded = f" {message.replace(':', ' ')} "
    subject = next((key for key in recordings if f" {key.replace(':', ' ')} " in padded), "a recording")
    return f"{subject} {_OUTLINES[code]}"


def finished(files: Sequence[str]) -> tuple[Event, ...]:
    """The last events of a successful run. ``files`` are the addresses of its outputs."""
    return (
        _mixer("file_infos", FileList=list(files)),
        _upload(0, files),
        _status(ServiceStatus.SERVICE_STATUS_EXITING),
    )


def failed(error: BaseException, files: Sequence[str] = ()) -> tuple[Event, ...]:
    """The last events of a failed run. ``files`` are the addresses its outputs would have had.

    Messages of errors are not sent: they may quote what was read on this machine, or contain a secret.
    """
    if isinstance(error, MixError):
        code, message = error.code, error.public
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
