"""Tasks during which recordings with certain names are changed.

``truncated-2-...`` is changed as ``tests.support.changes`` says when its picture has been read up to 2 s, and
``sound-truncated-2-...`` when its sound has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from owtmix.inputs.tasks import NeedsBytes, ProbeTask
from owtmix.media.audio_resample import Samples
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.media.video_frame import DecodedFrame
from owtmix.plan.media_info import AudioTrack, Damage, DecodeStats, Probe
from owtmix.plan.model import SAMPLE_RATE_HZ
from owtmix.produce.file_sources import FileSources
from owtmix.produce.tasks import AudioTask, ChunkTask, RenderSetup
from owtmix.render.audio_source import AudioSource
from owtmix.render.video_source import VideoSource
from owtmix.workers.base import TaskReporter
from tests.produce.faulty_tasks import with_setup
from tests.support.changes import CHANGES


def change_once(path: Path, reached_s: Fraction, prefix: str = "") -> None:
    """Change a file as its name says, if it has been read so far."""
    named = re.match(rf"{prefix}({'|'.join(CHANGES)})-([\d.]+)-", path.name)
    mark = path.with_suffix(".changed")
    if named and reached_s >= Fraction(named[2]) and not mark.exists():
        mark.touch()
        CHANGES[named[1]](path)


@dataclass(frozen=True)
class ChangingVideo:
    source: VideoSource
    path: Path

    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        change_once(self.path, t)
        return self.source.frame_at(t)

    def stats_between(self, start: Fraction | None, end: Fraction | None) -> DecodeStats:
        return self.source.stats_between(start, end)

    def close(self) -> None:
        self.source.close()


@dataclass(frozen=True)
class ChangingAudio:
    source: AudioSource
    path: Path

    @property
    def damage(self) -> Damage:
        return self.source.damage

    def read(self, first_sample: int, count: int) -> Samples:
        change_once(self.path, Fraction(first_sample, SAMPLE_RATE_HZ), "sound-")
        return self.source.read(first_sample, count)

    def close(self) -> None:
        self.source.close()


class ChangingSources(FileSources):
    def open_video(
        self, source: int, gpu: DecodingGpu | None, times: SampleTimes, heartbeat: Callable[[], None]
    ) -> VideoSource:
        return ChangingVideo(FileSources.open_video(self, source, gpu, times, heartbeat), self.files[source].path)

    def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> AudioSource:
        return ChangingAudio(FileSources.open_audio(self, source, track, offset_s), self.files[source].path)


@dataclass(frozen=True, slots=True)
class ChangingSetup(RenderSetup):
    def open_sources(self) -> ChangingSources:
        return ChangingSources(self.files)


@dataclass(frozen=True, slots=True)
class ChangingProbeTask(ProbeTask):
    def _measured(self, path: Path, reporter: TaskReporter) -> Probe | NeedsBytes:
        found = ProbeTask._measured(self, path, reporter)
        change_once(self.path, Fraction(1), "probe-")
        return found


def with_changes(task: Any) -> Any:
    """The task of this module for a job's ``task``."""
    match task:
        case ProbeTask():
            return ChangingProbeTask(**{field.name: getattr(task, field.name) for field in fields(task)})
        case ChunkTask() | AudioTask():
            return with_setup(task, ChangingSetup)
    return task
