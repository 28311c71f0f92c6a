"""The events of a recording (API document, section 14.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from owtmix.notify.events import Event, ServiceStatus, WarnCode


def status(state: ServiceStatus) -> Event:
    """The recording began, ended, or was interrupted."""
    return _record("status_update", Status=state.name)


def warning(code: WarnCode, message: str) -> Event:
    return _record("warning", WarnCode=int(code), WarnMsg=message)


def error(code: int, message: str) -> Event:
    """The recording failed. ``message`` is for the receiver: it quotes nothing of this machine."""
    return _record("error", ErrorCode=code, ErrorMsg=message)


def failover(*, worked: bool) -> Event:
    """A process of the recording was started again."""
    return _record("session_failover", Status=0 if worked else 1)


def files(addresses: Sequence[str]) -> Event:
    """The files that were made."""
    return _record("file_infos", FileList=list(addresses))


def upload(state: Literal[0, 1], addresses: Sequence[str]) -> Event:
    """The files were uploaded (0), or could not be (1)."""
    return Event("job.oss", "ucloud_upload_status", {"Status": state, "FileList": list(addresses)})


def _record(kind: str, **data: object) -> Event:
    return Event("job.record", f"ucloud_record_{kind}", data)
