"""Sources to render: the files of a plan, sources that are only in memory, and sources that tell how they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np
from av.video.frame import VideoFrame

from owtmix.base.geometry import Orientation
from owtmix.inputs.source_file import SourceFile
from owtmix.media.audio_resample import Samples
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.media.video_frame import DecodedFrame
from owtmix.plan.media_info import AudioTrack, Damage, DecodeStats, Probe
from owtmix.plan.model import SAMPLE_RATE_HZ, RenderPlan, Source
from owtmix.produce.file_sources import FileSources
from owtmix.render.audio_source import AudioSource, AudioSources
from owtmix.render.callbacks import Heartbeat
from owtmix.render.video_source import VideoSource, VideoSources
from owtmix.storage import LocalCopy

_SERIALS: Final = count()


def source_files(plan: RenderPlan, paths: Sequence[Path]) -> list[SourceFile]:
    """The files at ``paths`` as the sources of ``plan``."""
    return [
        SourceFile(source.key, LocalCopy(path), Probe(source.video, source.sounds, _start_s(source)))
        for source, path in zip(plan.sources, paths, strict=True)
    ]


def _start_s(source: Source) -> Fraction:
    return min(track.span.start for track in (source.video, *source.sounds) if track)


def file_sources(plan: RenderPlan, paths: Sequence[Path]) -> FileSources:
    """Opens the files at ``paths`` as the sources of ``plan``."""
    return FileSources(source_files(plan, paths), plan.unfiltered)


class MemoryVideo:
    """A picture without a file: frames and the file times from which on they are shown, in order."""

    def __init__(self, frames: Sequence[tuple[Fraction, VideoFrame]]) -> None:
        self._frames = [
            (t, DecodedFrame(frame, next(_SERIALS), Fraction(1), Orientation.UPRIGHT, "bt709", False, False))
            for t, frame in frames
        ]

    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        return next((frame for start, frame in reversed(self._frames) if start <= t), None)

    def stats_between(self, start: Fraction | None, end: Fraction | None) -> DecodeStats:  # noqa: ARG002 - none is damaged
        return DecodeStats(tuple(dict.fromkeys(frame.displayed for _, frame in self._frames)), decoders=("memory",))

    def close(self) -> None:
        pass


class MemoryAudio:
    """Stereo sound without a file, from output sample ``start`` on."""

    def __init__(self, sound: Samples, start: int) -> None:
        self.damage = Damage()
        self._sound = sound
        self._start = start

    def read(self, first_sample: int, count: int) -> Samples:
        block = np.zeros((2, count), np.float32)
        first, last = max(first_sample, self._start), min(first_sample + count, self._start + self._sound.shape[1])
        if first < last:
            heard = self._sound[:, first - self._start : last - self._start]
            block[:, first - first_sample : last - first_sample] = heard
        return block

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class MemorySources:
    """``VideoSources`` and ``AudioSources`` without files, by their numbers. Sounds begin at file time 0."""

    pictures: Mapping[int, Sequence[tuple[Fraction, VideoFrame]]] = field(default_factory=dict)
    sounds: Mapping[int, Samples] = field(default_factory=dict)

    def open_video(self, source: int, gpu: DecodingGpu | None, times: SampleTimes, heartbeat: Heartbeat) -> VideoSource:
        del gpu, times, heartbeat  # nothing is decoded
        return MemoryVideo(self.pictures[source])

    def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> AudioSource:
        del track
        return MemoryAudio(self.sounds[source], round(offset_s * SAMPLE_RATE_HZ))

    def wait_for(self, source: int, heartbeat: Heartbeat) -> bool:
        del heartbeat
        return source in self.sounds


def _ignore_source(_source: int) -> None:
    """Ignores what happens to a source."""


def _ignore_frame(_source: int, _t: Fraction) -> None:
    """Ignores which frame a source is asked for."""


@dataclass(frozen=True)
class WatchedVideoSources:
    """``sources`` that tell, by number, when one is opened and closed, and before each file time it is asked for."""

    sources: VideoSources
    on_open: Callable[[int], None] = _ignore_source
    on_close: Callable[[int], None] = _ignore_source
    on_frame: Callable[[int, Fraction], None] = _ignore_frame

    def open_video(self, source: int, gpu: DecodingGpu | None, times: SampleTimes, heartbeat: Heartbeat) -> VideoSource:
        opened = self.sources.open_video(source, gpu, times, heartbeat)
        self.on_open(source)
        return _WatchedVideo(self, source, opened)


@dataclass(frozen=True)
class _WatchedVideo:
    owner: WatchedVideoSources
    number: int
    source: VideoSource

    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        self.owner.on_frame(self.number, t)
        return self.source.frame_at(t)

    def stats_between(self, start: Fraction | None, end: Fraction | None) -> DecodeStats:
        return self.source.stats_between(start, end)

    def close(self) -> None:
        self.source.close()
        self.owner.on_close(self.number)


@dataclass(frozen=True)
class WatchedAudioSources:
    """``sources`` that tell, by number, when one is opened and closed."""

    sources: AudioSources
    on_open: Callable[[int], None] = _ignore_source
    on_close: Callable[[int], None] = _ignore_source

    def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> AudioSource:
        opened = self.sources.open_audio(source, track, offset_s)
        self.on_open(source)
        return _WatchedAudio(self, source, opened)

    def wait_for(self, source: int, heartbeat: Heartbeat) -> bool:
        return self.sources.wait_for(source, heartbeat)


@dataclass(frozen=True)
class _WatchedAudio:
    owner: WatchedAudioSources
    number: int
    source: AudioSource

    @property
    def damage(self) -> Damage:
        return self.source.damage

    def read(self, first_sample: int, count: int) -> Samples:
        return self.source.read(first_sample, count)

    def close(self) -> None:
        self.source.close()
        self.owner.on_close(self.number)
