"""The protocol of sound sources: today recordings in files, later rooms that are still being recorded."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from owtmix.media.audio_resample import Samples
from owtmix.plan.media_info import AudioTrack, Damage
from owtmix.render.callbacks import Heartbeat


class AudioSource(Protocol):
    """The sound of one source, read forwards at output samples."""

    @property
    def damage(self) -> Damage:
        """The damage found so far."""

    def read(self, first_sample: int, count: int) -> Samples:
        """``count`` output samples from ``first_sample`` on: float32 (2, count), silence where the source has none.

        Each call starts where the last one ended, or later.

        Raises:
            InputError: the source cannot be read on.
        """

    def close(self) -> None:
        """Free the decoder."""


class AudioSources(Protocol):
    """Opens the sound of a plan's sources by their numbers, from any thread."""

    def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> AudioSource:
        """Open a sound; file time plus ``offset_s`` is output time.

        Raises:
            InputError: it cannot be opened.
        """

    def wait_for(self, source: int, heartbeat: Heartbeat) -> bool:
        """Wait until a source is available; False when it has failed. ``heartbeat`` is called meanwhile."""
