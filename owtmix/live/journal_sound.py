"""The sound of a session that is still received: decoded from its journals, by the times of the file it becomes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np

from owtmix.base.errors import InputError
from owtmix.media.audio_reader import CHANNELS, MAX_LEVEL
from owtmix.media.audio_resample import Samples
from owtmix.plan.media_info import Damage
from owtmix.recorder.clock import TrackClock
from owtmix.recorder.file_plan import FilePlan
from owtmix.recorder.journal import Frame, JournalReader
from owtmix.recorder.journal_scan import checked
from owtmix.recorder.key_frame import open_journal
from owtmix.recorder.opus_packet import RATE_HZ
from owtmix.recorder.picture_times import ticks
from owtmix.recorder.placed_sound import PlacedSound
from owtmix.recorder.sound_decoder import SoundDecoder, late_by

_LEAD: Final = RATE_HZ
"""Samples that are decoded before the first that is wanted: decoders need some to be right."""


class JournalSound:
    """Reads the sound of a file forwards, at samples of file time.

    Args:
        plan: how the file is made; it has sounds.
        start_us: its beginning, in microseconds since 1970.

    Raises:
        InputError: a journal cannot be read.
    """

    def __init__(self, plan: FilePlan, start_us: int) -> None:
        self._plan = plan
        self._start_us = start_us
        self._number = 0
        self._open()
        self._placed = PlacedSound()
        self._blocks: deque[tuple[int, Samples]] = deque()
        self.damage = Damage()

    def learn(self, plan: FilePlan) -> None:
        """Take what is known of its clocks since, and journals that follow."""
        self._plan = plan
        self._timer.knots = plan.sounds[self._number].clock.knots

    def read(self, first: int, count: int) -> Samples:
        """``count`` samples of file time from ``first`` on: float32 (2, count), silence where there is no sound.

        Each call starts where the last one ended, or later.
        """
        block, end = np.zeros((CHANNELS, count), np.float32), first + count
        while (self._placed.position is None or self._placed.position < end) and self._decode(first):
            pass
        while self._blocks and self._blocks[0][0] < end:
            start, sound = self._blocks[0]
            skipped = max(0, first - start)
            part = sound[:, skipped : end - start]
            block[:, start + skipped - first :][:, : part.shape[1]] = part
            if start + sound.shape[1] > end:
                break
            self._blocks.popleft()
        np.nan_to_num(block, copy=False, nan=0, posinf=0, neginf=0)
        return np.clip(block, -MAX_LEVEL, MAX_LEVEL, out=block)

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()

    def _open(self) -> None:
        track = self._plan.sounds[self._number]
        self._reader: JournalReader = open_journal(track)
        self._timer: TrackClock = track.clock.anew()
        self._codec = track.codec
        self._decoder = SoundDecoder(track.codec)
        self._late = late_by(track.codec)
        self._frames = self._new_frames()

    def _new_frames(self) -> Iterator[Frame]:
        for record in self._reader.records():
            if isinstance(record, Frame) and (frame := checked(self._codec, record)):
                yield frame

    def _next(self) -> Frame | None:
        """The next packet that was written, also of a journal that follows; None when there is none by now."""
        while True:
            if (frame := next(self._frames, None)) is not None:
                return frame
            self._frames = self._new_frames()
            if (frame := next(self._frames, None)) is not None:
                return frame
            if self._number + 1 == len(self._plan.sounds):
                return None
            self._reader.close()
            self._number += 1
            self._open()

    def _decode(self, wanted: int) -> bool:
        """Decode the next packet; False when there is none by now. What is long before ``wanted`` is passed over."""
        frame = self._next()
        if frame is None:
            return False
        at_us = self._timer.time_us(frame)
        is_early = self._plan.from_us is not None and at_us < self._plan.from_us
        if is_early or (self._plan.until_us is not None and at_us >= self._plan.until_us):
            return True
        at = ticks(at_us - self._start_us, RATE_HZ) - self._late
        if self._placed.position is None and at + _LEAD < wanted:
            return True
        try:
            blocks = self._decoder.blocks(frame.data)
        except InputError:
            self.damage = self.damage.grown(Fraction(at, RATE_HZ))
            return True
        for block in blocks:
            for part in self._placed.add(at, block):
                assert self._placed.position is not None
                start = self._placed.position - part.shape[1]
                if self._placed.position > wanted:
                    self._blocks.append((start, part))
            at += block.shape[1]
        return True
