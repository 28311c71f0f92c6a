"""Work on recordings of which some break whatever decodes them. Children import this module.

A file does so by its name: ``crash-2-...`` crashes the decoder of its picture when it is 2 s in, ``deaf-crash-2-...``
that of its sound; ``hang`` in place of ``crash`` stops for ever, ``fail`` raises, ``killed-2-...`` kills
its first two readers, ``probe-crash-...`` crashes whoever measures it.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from owtmix.base.errors import InputError
from owtmix.inputs.tasks import NeedsBytes, ProbeTask
from owtmix.media.audio_reader import AudioReader
from owtmix.media.video_frame import DecodedFrame
from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import AudioTrack, Probe
from owtmix.plan.model import SAMPLE_RATE_HZ
from owtmix.produce.tasks import ChunkTask, RenderSetup
from owtmix.render.video_track import Material
from owtmix.workers.base import TaskReporter


def misbehave(how: str) -> None:
    match how:
        case "crash":
            ctypes.string_at(0)
        case "hang":
            time.sleep(3600)
        case "fail":
            raise InputError("the disk is on fire")


def die_once(mark: Path) -> None:
    """Be killed as if from outside, unless ``mark`` says that it was done."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class RiggedVideoReader(VideoReader):
    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        told = re.match(r"(crash|hang|fail|killed)-([\d.]+)-", self._path.name)
        if told and t >= Fraction(told[2]):
            if told[1] == "killed":
                die_once(self._path.with_suffix(".first"))
                die_once(self._path.with_suffix(".second"))
            misbehave(told[1])
        return super().frame_at(t)


class RiggedAudioReader(AudioReader):
    def __init__(self, path: Path, track: AudioTrack, offset_s: Fraction) -> None:
        super().__init__(path, track, offset_s)
        self._told = re.match(r"deaf-(crash|hang|fail)-([\d.]+)-", path.name)

    def read(self, first_sample: int, count: int) -> Any:
        end_s = Fraction(first_sample + count, SAMPLE_RATE_HZ) - self._offset_s
        if self._told and end_s > Fraction(self._told[2]):
            misbehave(self._told[1])
        return super().read(first_sample, count)


@dataclass(frozen=True, slots=True)
class RiggedStudio(RenderSetup):
    """Decodes with the readers above."""

    def material(self) -> Material:
        """As of a studio."""
        import owtmix.render.audio_mix  # noqa: PLC0415 - in the child
        import owtmix.render.decode_alone  # noqa: PLC0415
        import owtmix.render.frames  # noqa: PLC0415

        owtmix.render.frames.VideoReader = RiggedVideoReader  # type: ignore[attr-defined]
        owtmix.render.audio_mix.AudioReader = owtmix.render.decode_alone.AudioReader = RiggedAudioReader  # type: ignore[attr-defined]
        return RenderSetup.material(self)


@dataclass(frozen=True, slots=True)
class RiggedProbeTask(ProbeTask):
    def run(self, reporter: TaskReporter) -> Probe | NeedsBytes:
        if told := re.match(r"probe-(crash|hang|once)-", self.path.name):
            misbehave(told[1])
            die_once(self.path.with_suffix(".mark"))
        return ProbeTask.run(self, reporter)


@dataclass(frozen=True, slots=True)
class DyingPictureTask(ChunkTask):
    """Dies although no source does anything wrong: as often as the work folder has files named ``die-...``."""

    def run(self, reporter: TaskReporter) -> Any:
        for reason in self.track.parents[1].glob("die-*"):
            reason.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return ChunkTask.run(self, reporter)
