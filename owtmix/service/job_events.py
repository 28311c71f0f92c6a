"""The events of a job's services (API document, section 14.2): recording, mixing, pushing, and uploading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from owtmix.notify.events import AnyService, Event, ServiceStatus, WarnCode


@dataclass(frozen=True, slots=True)
class JobEvents:
    """The events of ``service``, whose names begin with ``ucloud_`` and ``kind``.

    ``names_status`` where ``Status`` is a text, as the document has it for recording; it is a number for others.
    """

    service: AnyService
    kind: str
    names_status: bool = False

    def status(self, state: ServiceStatus, **more: object) -> Event:
        """It began, ended, or was interrupted."""
        status = {"Status": state.name} if self.names_status else {"Status": int(state), "StatusName": state.name}
        return self._event("status_update", **status, **more)

    def warning(self, code: WarnCode, message: str, **more: object) -> Event:
        return self._event("warning", WarnCode=int(code), WarnMsg=message, **more)

    def error(self, code: int, message: str, **more: object) -> Event:
        """It failed. ``message`` is for the receiver: it quotes nothing of this machine."""
        return self._event("error", ErrorCode=code, ErrorMsg=message, **more)

    def failover(self, *, worked: bool) -> Event:
        """A process was started again."""
        return self._event("session_failover", Status=0 if worked else 1)

    def files(self, addresses: Sequence[str]) -> Event:
        """The files that were made."""
        return self._event("file_infos", FileList=list(addresses))

    def stream(self, stream: str, *, opens: bool, at_us: int) -> Event:
        """A stream came, or left."""
        stamp = str(at_us // 1000)
        return self._event("stream_update", StreamUid=stream, Status="open" if opens else "close", TimeStamp=stamp)

    def _event(self, name: str, **data: object) -> Event:
        return Event(self.service, f"ucloud_{self.kind}_{name}", data)


RECORD: Final = JobEvents("job.record", "record", names_status=True)
MIXER: Final = JobEvents("job.mixer", "mixer")
LIVING: Final = JobEvents("job.living", "living")


def events_of(mode: int) -> JobEvents:
    """The events of a job with ``Mode``: of recording, or of mixing."""
    return MIXER if mode else RECORD


def upload(state: Literal[0, 1], addresses: Sequence[str]) -> Event:
    """The files were uploaded (0), or could not be (1)."""
    return Event("job.oss", "ucloud_upload_status", {"Status": state, "FileList": list(addresses)})
