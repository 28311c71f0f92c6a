"""The sources of a plan as files, for rendering in a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from owtmix.base.errors import DestinationError
from owtmix.inputs.source_file import SourceFile
from owtmix.media.audio_reader import AudioReader
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import AudioTrack
from owtmix.render.audio_source import AudioSource
from owtmix.render.video_source import VideoSource
from owtmix.workers.pending_files import wait_for_file


@dataclass(frozen=True, slots=True)
class FileSources:
    """Opens the recordings of a plan: ``VideoSources`` and ``AudioSources``. A file may still be downloading."""

    files: Sequence[SourceFile]

    def open_video(
        self, source: int, gpu: DecodingGpu | None, times: SampleTimes, heartbeat: Callable[[], None]
    ) -> VideoSource:
        file = self.files[source]
        assert file.probe
        assert file.probe.video
        video = file.probe.video
        return VideoReader(_path(file), video.index, gpu, times, heartbeat, video.sections)

    def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> AudioSource:
        return AudioReader(_path(self.files[source]), track, offset_s)

    def wait_for(self, source: int, heartbeat: Callable[[], None]) -> bool:
        return wait_for_file(self.files[source].path, heartbeat)


def _path(file: SourceFile) -> Path:
    """The local file.

    Raises:
        DestinationError: it was fetched, and is not there any more. The recording is not to blame.
    """
    if file.copy.size_bytes and not file.path.exists():
        raise DestinationError(f"{file.path} is gone: the work folder was removed or emptied while the job ran")
    return file.path
