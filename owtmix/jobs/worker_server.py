"""The fork server of a job's workers, which has imported what their tasks need."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from owtmix.workers.worker_process import ForkServer

if TYPE_CHECKING:
    from owtmix.jobfile.settings import Settings
    from owtmix.workers.local import WorkerPool

IMPORTS: Final = (
    "av.subtitles.stream",
    "numpy.ma",
    "owtmix.inputs.tasks",
    "owtmix.media.decode_all",
    "owtmix.media.probe",
    "owtmix.media.video_reader",
    "owtmix.media.voice_meter",
    "owtmix.outputs.mux",
    "owtmix.outputs.verify",
    "owtmix.produce.file_sources",
    "owtmix.produce.tasks",
    "owtmix.render.audio_track",
    "owtmix.render.decode_alone",
    "owtmix.render.video_track",
)
"""Modules that tasks import when they run, and what libraries import when they are used.

The program itself imports none of them: they load the media libraries.
"""


def worker_server() -> ForkServer:
    """A fork server for the tasks of jobs."""
    return ForkServer(IMPORTS)


def open_workers(
    settings: Settings, warn: Callable[[str], None], workers: int | None = None, server: ForkServer | None = None
) -> WorkerPool:
    """Workers as ``start_workers`` gives them. Their fork server ends with them, also one that was started before."""
    from owtmix.workers.limits import start_workers  # noqa: PLC0415 - the server starts before this is loaded

    return start_workers(settings, warn, workers, server or worker_server())
