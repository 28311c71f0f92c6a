"""The sources of a live plan: journals, which stay open from one chunk to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from owtmix.live.journal_picture import JournalPicture
from owtmix.live.journal_sound import JournalSound
from owtmix.live.live_source import LiveSource
from owtmix.media.audio_resample import Samples
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.media.video_frame import DecodedFrame
from owtmix.plan.media_info import AudioTrack, Damage, DecodeStats
from owtmix.plan.model import SAMPLE_RATE_HZ
from owtmix.render.audio_source import AudioSource
from owtmix.render.callbacks import Heartbeat
from owtmix.render.video_source import VideoSource

MOST_RESTING: Final = 16
"""Pictures that are not shown now and stay open, with a decoder: one that is opened again is read from its beginning,
which takes four seconds for each hour."""


@dataclass(slots=True)
class OpenJournals:
    """The journals that are open in this process; of ``pictures``, those that were shown last are the last ones."""

    pictures: dict[tuple[str, int], JournalPicture] = field(default_factory=dict)
    sounds: dict[tuple[str, int], JournalSound] = field(default_factory=dict)

    def picture(self, source: LiveSource) -> JournalPicture:
        """The picture of a source."""
        found = self.pictures.pop(source.key, None) or JournalPicture(source.plan, source.start_us)
        self.pictures[source.key] = found
        found.learn(source.plan)
        return found

    def sound(self, source: LiveSource) -> JournalSound:
        """The sound of a source."""
        if source.key not in self.sounds:
            self.sounds[source.key] = JournalSound(source.plan, source.start_us)
        self.sounds[source.key].learn(source.plan)
        return self.sounds[source.key]

    def close_sounds(self) -> None:
        """Close all sounds: they are read again from before."""
        for sound in self.sounds.values():
            sound.close()
        self.sounds.clear()

    def keep(self, sources: Sequence[LiveSource]) -> None:
        """Close all but ``sources``, and the last pictures that were shown before: these go on where they were."""
        keys = {source.key for source in sources}
        for key in [key for key in self.sounds if key not in keys]:
            self.sounds.pop(key).close()
        for key in [key for key in self.pictures if key not in keys][:-MOST_RESTING]:
            self.pictures.pop(key).close()


@dataclass(frozen=True, slots=True)
class JournalSources:
    """Opens ``sources`` by their numbers: ``VideoSources`` and ``AudioSources``. They stay ``opened``."""

    sources: Sequence[LiveSource]
    opened: OpenJournals

    def open_video(
        self,
        source: int,
        gpu: DecodingGpu | None,  # noqa: ARG002 - a live picture is decoded by the CPU
        times: SampleTimes,  # noqa: ARG002 - nothing is skipped: others may be shown next
        heartbeat: Heartbeat,
    ) -> VideoSource:
        return _Picture(self.opened.picture(self.sources[source]), heartbeat)

    def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> AudioSource:  # noqa: ARG002 - it has one
        return _Sound(self.opened.sound(self.sources[source]), round(offset_s * SAMPLE_RATE_HZ))

    def wait_for(self, source: int, heartbeat: Heartbeat) -> bool:  # noqa: ARG002 - all is there
        return True


@dataclass(frozen=True, slots=True)
class _Picture:
    picture: JournalPicture
    heartbeat: Heartbeat

    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        return self.picture.frame_at(t, self.heartbeat)

    def stats_between(self, start: Fraction | None, end: Fraction | None) -> DecodeStats:  # noqa: ARG002 - see docs/live.md
        return self.picture.stats

    def close(self) -> None:
        """It stays open for the next chunk."""


@dataclass(frozen=True, slots=True)
class _Sound:
    sound: JournalSound
    offset: int

    @property
    def damage(self) -> Damage:
        return self.sound.damage

    def read(self, first_sample: int, count: int) -> Samples:
        return self.sound.read(first_sample - self.offset, count)

    def close(self) -> None:
        """It stays open for the next chunk."""
