"""Short names for events, receivers and notifiers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.events import Event, WarnCode, finished, warning
from owtmix.notify.message import Message
from owtmix.notify.notifier import Notifier
from owtmix.notify.options import SenderOptions
from owtmix.notify.outbox import Outbox

FINISHED: Final = finished(["j1.mp4"])
PATIENCE_S: Final = 20.0
"""Far more than a receiver that acknowledges everything needs."""

QUICK: Final = SenderOptions(first_pause_s=0.01, longest_pause_s=0.1)
"""Short pauses between attempts."""

STATUS: Final = "ucloud_mixer_status_update"
WARNING: Final = "ucloud_mixer_warning"
FILES: Final = "ucloud_mixer_file_infos"
UPLOAD: Final = "ucloud_upload_status"


def waiting(folder: Path, job_id: str = "j1") -> list[Message]:
    """The undelivered messages on disk, URL by URL, in the order in which they are sent."""
    outbox = Outbox(folder, job_id)
    return [found[2] for url in outbox.urls for found in outbox.unsent(url) if found]


def note(number: int) -> Event:
    return warning(WarnCode.INPUT_DAMAGED, f"warning {number}")


def both(url: str, token: str | None = None) -> tuple[NotifySpec, NotifySpec]:
    return NotifySpec("job.mixer", url, token), NotifySpec("job.oss", url, token)


def mixer(url: str) -> tuple[NotifySpec]:
    return (NotifySpec("job.mixer", url, None),)


def notifier(folder: Path, receivers: tuple[NotifySpec, ...], options: SenderOptions = QUICK) -> Notifier:
    return Notifier("j1", "0", receivers, folder, options)


@contextmanager
def nobody() -> Iterator[str]:
    """A URL that refuses connections; its port stays reserved."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/callback"
