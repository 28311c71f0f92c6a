"""The sources of a plan as files, for rendering in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from owtmix.base.errors import ChangedError, DestinationError
from owtmix.base.file_version import CHANGED, HeldFile
from owtmix.inputs.source_file import SourceFile
from owtmix.media.audio_reader import AudioReader
from owtmix.media.audio_resample import Samples
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.media.video_frame import DecodedFrame
from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import AudioTrack, Damage, DecodeStats
from owtmix.render.audio_source import AudioSource
from owtmix.render.video_source import VideoSource
from owtmix.workers.pending_files import wait_for_file


@dataclass(frozen=True, slots=True)
class FileSources:
    """Opens the recordings of a plan: ``VideoSources`` and ``AudioSources``. A file may still be downloading.

    All that is read of a recording is of the version that was planned, or ends with a ``ChangedError``. The pictures of
    the sources ``unfiltered`` are decoded without their loop filter.
    """

    files: Sequence[SourceFile]
    unfiltered: frozenset[int] = frozenset()

    def open_video(
        self, source: int, gpu: DecodingGpu | None, times: SampleTimes, heartbeat: Callable[[], None]
    ) -> VideoSource:
        file = self.files[source]
        assert file.probe
        assert file.probe.video
        video = file.probe.video
        held = _held(file)
        with _closed_unless_read(held) as path:
            reader = VideoReader(
                path,
                video.index,
                gpu,
                times,
                heartbeat,
                video.sections,
                file.probe.end_bytes,
                loop_filter=source not in self.unfiltered,
            )
        return _PlannedVideo(reader, held)

    def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> AudioSource:
        file = self.files[source]
        end_bytes = file.probe.end_bytes if file.probe else None
        held = _held(file)
        with _closed_unless_read(held) as path:
            reader = AudioReader(path, track, offset_s, end_bytes)
        return _PlannedAudio(reader, held)

    def wait_for(self, source: int, heartbeat: Callable[[], None]) -> bool:
        return wait_for_file(self.files[source].path, heartbeat)


def _held(file: SourceFile) -> HeldFile:
    """The local file in the version that it must have.

    Raises:
        DestinationError: it was fetched, and is not there any more. The recording is not to blame.
        ChangedError: it has another version, or it is not known in which one it was fetched.
    """
    if file.is_fetched and not file.path.exists():
        raise DestinationError(f"{file.path} is gone: the work folder was removed or emptied while the job ran")
    version = file.file_version
    if version is None and file.is_fetched:
        raise ChangedError(CHANGED)
    return HeldFile(file.path, version)


@contextmanager
def _closed_unless_read(held: HeldFile) -> Iterator[Path]:
    """A block that opens a reader of the file, which is closed if that fails."""
    with ExitStack() as failed:
        failed.callback(held.close)
        with held as path:
            yield path
        failed.pop_all()


@dataclass(frozen=True, slots=True)
class _PlannedVideo:
    """A picture whose file must keep its version for as long as it is read."""

    reader: VideoReader
    file: HeldFile

    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        with self.file:
            return self.reader.frame_at(t)

    def stats_between(self, start: Fraction | None, end: Fraction | None) -> DecodeStats:
        return self.reader.stats_between(start, end)

    def close(self) -> None:
        self.reader.close()
        self.file.close()


@dataclass(frozen=True, slots=True)
class _PlannedAudio:
    """The same for sound."""

    reader: AudioReader
    file: HeldFile

    @property
    def damage(self) -> Damage:
        return self.reader.damage

    def read(self, first_sample: int, count: int) -> Samples:
        with self.file:
            return self.reader.read(first_sample, count)

    def close(self) -> None:
        self.reader.close()
        self.file.close()
