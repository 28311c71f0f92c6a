"""Measures the picture of a recording from its packets' timestamps and its first decoded frame."""

from __future__ import annotations

from array import array
from fractions import Fraction
from math import floor
from typing import Final

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from owtmix.base.shortage import raise_if_short
from owtmix.base.time import TimeRange
from owtmix.media.block_scan import Blocks
from owtmix.media.clock_track import TrackLog
from owtmix.media.decoder_memory import decoder_bytes
from owtmix.media.open import states_durations
from owtmix.media.track_meter import PacketTable, Ticks, clipped
from owtmix.media.video_frame import DecodedFrame, describe_frame, frame_time
from owtmix.plan.media_info import Rates, VideoTrack

GAP_S: Final = Fraction(1)
"""Shorter gaps between frames do not affect the plan."""
DEFAULT_FRAME_S: Final = Fraction(1, 15)
"""Duration of the only frame of a file that states none."""
LONGEST_FRAME_S: Final = 1.0
"""A frame is not known to last longer, whatever its neighbours do."""
REORDERED: Final = 16
"""Frames that one may be reordered by: the limit of H.264 and H.265."""


class VideoMeter:
    """Measures a video track: packet timestamps, and the first decoded frame for size, colour and start.

    A meter is ``settled`` when it needs no more decoding; ``needs_all`` means that it never will be.
    """

    needs_all: Final = False
    needs_decoding: Final = False
    media_s: Final = 0.0
    """Not counted: a picture costs little to measure."""

    def __init__(self, stream: VideoStream) -> None:
        assert stream.time_base is not None
        self.stream = stream
        self.table = PacketTable(stream.time_base, "picture")
        self._durations = array("q")
        self._dts = array("q")
        self._keys = array("b")
        self._key_places = _listed_key_frames(stream)
        self._number = -1
        self.latest: Packet[Stream] | None = None
        """The last packet that was added."""
        self._first: tuple[int, Fraction, DecodedFrame] | None = None

    @property
    def settled(self) -> bool:
        return self._first is not None

    def add(self, packet: Packet[Stream]) -> None:
        """Add the next packet of the track."""
        if packet.size:
            self._number += 1
            self.latest = packet
            if not packet.is_discard and packet.pts is not None:
                self.table.add(self._number, packet.pts, -1 if packet.pos is None else packet.pos, packet.size)
                self._durations.append(packet.duration or 0)
                self._dts.append(clipped(packet.pts if packet.dts is None else packet.dts))
                self._keys.append(packet.is_keyframe if self._key_places is None else packet.pos in self._key_places)
        if self._first is None:
            self._decode(packet)

    def extend(self, pts: Ticks, blocks: Blocks) -> None:
        """Add ``blocks``, the rest of the track, with their timestamps in ticks."""
        numbers = self.packets + np.arange(len(pts))
        self.table.extend(numbers, pts, blocks.positions, blocks.sizes)
        self._durations.extend([0] * len(pts))
        self._dts.extend(pts.tolist())
        self._keys.extend(blocks.keys.tolist())

    @property
    def packets(self) -> int:
        """How many packets were added one by one."""
        return self._number + 1

    def log(self) -> TrackLog:
        """The packets, of which there must be some, for the file's clock."""
        steps = np.diff(self.table.ticks)
        steps = np.sort(steps[steps > 0])
        frame_s = float(_median(steps) * self.table.time_base) if len(steps) else float(DEFAULT_FRAME_S)
        lengths_s = np.full(len(self.table), min(frame_s, LONGEST_FRAME_S))
        if not self.stream.codec_context.has_b_frames:
            return self.table.log(lengths_s)
        if states_durations(self.stream):  # and when pictures are decoded, which is a constant distance before
            return self.table.log(lengths_s, stamps=self._dts)
        return self.table.log(lengths_s, reordered=REORDERED)

    @property
    def start_s(self) -> Fraction:
        """File time of the first packet, whether it can be decoded or not."""
        ticks = self.table.ticks[: REORDERED + 1 if self.stream.codec_context.has_b_frames else 1]
        assert self._first
        first = [] if not len(ticks) else [int(ticks.min()) * self.table.time_base]
        return min(*first, self.table.corrected(*self._first[:2]))

    def track(self) -> tuple[VideoTrack, Rates | None] | None:
        """The track, and its frame rates as in ``Probe``; None if no frame can be decoded."""
        if self._first is None:
            return None
        number, first_s, frame = self._first
        base = self.table.time_base
        first_s = self.table.corrected(number, first_s)
        ticks = self._ticks(int(first_s / base))
        steps = np.diff(ticks)
        last_s = int(ticks[-1]) * base
        breaks = np.flatnonzero(steps > floor(GAP_S / base)).tolist()
        steps.sort()
        track = VideoTrack(
            index=self.stream.index,
            codec=self.stream.codec_context.codec.canonical_name,
            size=frame.displayed,
            matrix=frame.matrix,
            span=TimeRange(first_s, last_s + self._last_duration(steps)),
            last_s=last_s,
            gaps=tuple(TimeRange(int(ticks[i]) * base, int(ticks[i + 1]) * base) for i in breaks),
            gop_s=self._longest_gop(ticks) * base,
            sections=self.table.sections(),
            decoder_bytes=decoder_bytes(self.stream),
            pictures=len(ticks),
        )
        if not len(steps):
            return track, None
        return track, (1 / (int(steps[-1]) * base), 1 / (_median(steps) * base), 1 / (int(steps[0]) * base))

    def _decode(self, packet: Packet[Stream]) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            raise_if_short(error)
            return
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            start = frame_time(frame, self.stream)
            if start is not None and not frame.is_corrupt:
                self._first = self._number, start, describe_frame(frame, self.stream)
                return

    def _ticks(self, first: int) -> Ticks:
        """``first`` and the later timestamps, rising."""
        timestamps = self.table.ticks[self.table.kept]
        ticks = np.sort(np.append(first, timestamps[timestamps > first]))
        return np.asarray(ticks[np.append(True, np.diff(ticks) > 0)])

    def _longest_gop(self, ticks: Ticks) -> int:
        """In ticks. A file in which every frame claims to be a key frame does not tell them apart."""
        keys, kept = np.asarray(self._keys, np.bool_), self.table.kept
        found = self.table.ticks[keys & kept] if not keys.all() else ticks[:0]
        edges = np.concatenate((ticks[[0, -1]], found.clip(ticks[0], ticks[-1])))
        return int(np.diff(np.sort(edges)).max())

    def _last_duration(self, steps: Ticks) -> Fraction:
        """Duration of the last frame: as MP4 states it, else the median of all frames."""
        if len(self.table) and states_durations(self.stream):
            timestamps, durations = self.table.ticks, np.asarray(self._durations)
            stated = int(durations[timestamps == timestamps.max()].max())
            if stated > 0:
                return stated * self.table.time_base
        if len(steps):
            return _median(steps) * self.table.time_base
        return 1 / self.stream.average_rate if self.stream.average_rate else DEFAULT_FRAME_S


def _median(steps: Ticks) -> int:
    """The lower median of sorted steps."""
    return int(steps[(len(steps) - 1) // 2])


def _listed_key_frames(stream: VideoStream) -> frozenset[int] | None:
    """Where the key frames lie, as the tables of the file list them; None where it has no such tables.

    FFmpeg looks into packets otherwise, and those of a file that was fetched in parts may be empty.
    """
    if not stream.frames:
        return None
    return frozenset(entry.pos for entry in stream.index_entries if entry.is_keyframe)
