"""Tasks that fail at recordings with certain names. Workers import this module.

``crash-2-...`` crashes the decoder of its picture 2 s after its start, ``sound-crash-2-...`` that of its sound. With
``hang`` in place of ``crash`` it hangs, with ``fail`` it raises. ``killed-2-...`` kills its first two readers, and
``probe-crash-...`` crashes the process that measures it. That of ``absurd-...`` says what cannot be.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from owtmix.base.errors import DestinationError, InputError
from owtmix.inputs.tasks import Heard, NeedsBytes, ProbeTask
from owtmix.media.audio_reader import AudioReader
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.media.video_frame import DecodedFrame
from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import AudioTrack, Probe
from owtmix.plan.model import SAMPLE_RATE_HZ
from owtmix.produce.file_sources import FileSources
from owtmix.produce.tasks import AudioTask, ChunkTask, MuxTask, RenderSetup, SuspectTask
from owtmix.workers.base import TaskReporter


def fail_by(how: str) -> None:
    match how:
        case "crash":
            ctypes.string_at(0)
        case "hang":
            time.sleep(3600)
        case "fail":
            raise InputError("the disk is on fire")


def kill_once(mark: Path) -> None:
    """Kill this process as if from outside, unless the file ``mark`` exists."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class FaultyVideoReader(VideoReader):
    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        named = re.match(r"(crash|hang|fail|killed)-([\d.]+)-", self._path.name)
        if named and t >= Fraction(named[2]):
            if named[1] == "killed":
                kill_once(self._path.with_suffix(".first"))
                kill_once(self._path.with_suffix(".second"))
            fail_by(named[1])
        return super().frame_at(t)


class FaultyAudioReader(AudioReader):
    def __init__(self, path: Path, track: AudioTrack, offset_s: Fraction) -> None:
        super().__init__(path, track, offset_s)
        self._named = re.match(r"sound-(crash|hang|fail)-([\d.]+)-", path.name)

    def read(self, first_sample: int, count: int) -> Any:
        end_s = Fraction(first_sample + count, SAMPLE_RATE_HZ) - self._offset_s
        if self._named and end_s > Fraction(self._named[2]):
            fail_by(self._named[1])
        return super().read(first_sample, count)


class FaultySources(FileSources):
    """Opens files with the readers above."""

    def open_video(
        self, source: int, gpu: DecodingGpu | None, times: SampleTimes, heartbeat: Callable[[], None]
    ) -> FaultyVideoReader:
        probe = self.files[source].probe
        assert probe
        assert probe.video
        return FaultyVideoReader(self.files[source].path, probe.video.index, gpu, times, heartbeat)

    def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> FaultyAudioReader:
        return FaultyAudioReader(self.files[source].path, track, offset_s)


@dataclass(frozen=True, slots=True)
class FaultySetup(RenderSetup):
    def open_sources(self) -> FaultySources:
        return FaultySources(self.files)


@dataclass(frozen=True, slots=True)
class FaultyProbeTask(ProbeTask):
    def run(self, reporter: TaskReporter) -> Heard | Probe | NeedsBytes:
        if named := re.match(r"probe-(crash|hang|once)-", self.path.name):
            fail_by(named[1])
            kill_once(self.path.with_suffix(".mark"))
        found = ProbeTask.run(self, reporter)
        if self.path.name.startswith("absurd-") and isinstance(found, Probe):
            return replace(found, sounds=tuple(replace(track, runs=()) for track in found.sounds))
        return found


@dataclass(frozen=True, slots=True)
class KilledChunkTask(ChunkTask):
    """Its process is killed without a fault of a source: once for each file ``kill-...`` in the work folder."""

    def run(self, reporter: TaskReporter) -> Any:
        for mark in self.track.parents[1].glob("kill-*"):
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return ChunkTask.run(self, reporter)


@dataclass(frozen=True, slots=True)
class FailingMuxTask(MuxTask):
    """Fails, when all tracks are finished."""

    def run(self, _reporter: TaskReporter) -> None:
        raise DestinationError("no output is made")


def with_setup(task: Any, setup: type[RenderSetup], **extra: Any) -> Any:
    """``task``, with a ``setup`` of that type."""
    old = task.setup
    return replace(task, setup=setup(old.plan, old.files, old.images, old.strict, old.device, **extra))


def with_faults(task: Any) -> Any:
    """The task of this module for a job's ``task``."""
    match task:
        case ProbeTask():
            return FaultyProbeTask(**{field.name: getattr(task, field.name) for field in fields(task)})
        case ChunkTask():
            task = with_setup(task, FaultySetup)
            return KilledChunkTask(task.setup, task.frames, task.track, task.threads)
        case AudioTask() | SuspectTask():
            return with_setup(task, FaultySetup)
    return task


def without_output(task: Any) -> Any:
    """``task``, or one that fails in place of writing an output."""
    return FailingMuxTask(task.plan, task.tracks, task.output) if isinstance(task, MuxTask) else task
