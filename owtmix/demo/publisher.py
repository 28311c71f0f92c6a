"""Publishers without a browser: one draws a flash and sounds a beep each second, one repeats a file's packets.

Needs aiortc (the extra ``service``). How the offer gets to the recorder and its answer back is the caller's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from av.bitstream import BitStreamFilterContext

VideoCodec = Literal["VP8", "H264"]
Exchange = Callable[[str], Awaitable[str]]
"""Takes an offer to the recorder, and brings its answer."""

FLASH_S: Final = 0.2
"""The picture is white from each whole second of the clock for so long."""
BEEP_S: Final = 0.1
"""The same of the beep."""
SOUND_HZ: Final = 48_000
PICTURE_HZ: Final = 90_000

_SOUND_S: Final = Fraction(20, 1000)
_LEVEL: Final = 8240
"""-15 dB; the beeps of all rooms that are made for tests are so loud, and so long."""


class EncodedPacket(NamedTuple):
    """A packet of a file, at ``t_s`` of it."""

    t_s: Fraction
    data: bytes
    is_key: bool


@dataclass(frozen=True, slots=True)
class Clip:
    """Packets to repeat. ``codec`` is that of the picture."""

    codec: VideoCodec
    video: Sequence[EncodedPacket]
    audio: Sequence[EncodedPacket]


def read_clip(path: Path) -> Clip:
    """The packets of a file with H.264 or VP8, and Opus; H.264 as Annex B."""
    with av.open(path) as file:
        picture, sound = file.streams.video[0], file.streams.audio[0]
        is_h264 = picture.codec_context.name == "h264"
        to_annex_b = BitStreamFilterContext("h264_mp4toannexb", picture) if is_h264 else None
        video: list[EncodedPacket] = []
        audio: list[EncodedPacket] = []
        for packet in file.demux(picture, sound):
            is_picture = packet.stream is picture
            for filtered in to_annex_b.filter(packet) if to_annex_b and is_picture else [packet]:
                if filtered.pts is not None and filtered.time_base is not None:
                    time_s = Fraction(filtered.pts) * Fraction(filtered.time_base)
                    (video if is_picture else audio).append(
                        EncodedPacket(time_s, bytes(filtered), filtered.is_keyframe)
                    )
    return Clip("H264" if is_h264 else "VP8", video, audio)


class Repeated(MediaStreamTrack):
    """Sends packets at their time, sound when it is over, again and again, from ``begin_s`` of the loop's clock on."""

    def __init__(self, kind: Literal["audio", "video"], packets: Sequence[EncodedPacket], begin_s: float) -> None:
        super().__init__()
        self.kind = kind
        self.sent = 0
        self._packets = packets
        self._begin_s = begin_s
        self._rate = SOUND_HZ if kind == "audio" else PICTURE_HZ
        lasts_s = packets[-1].t_s - packets[-2].t_s
        self._length_s = packets[-1].t_s + lasts_s
        self._sent_after_s = float(lasts_s) if kind == "audio" else 0.0

    async def recv(self) -> Any:  # aiortc takes packets, too, and does not say so
        """The next packet."""
        rounds, n = divmod(self.sent, len(self._packets))
        t_s = rounds * self._length_s + self._packets[n].t_s
        sent_s = self._begin_s + float(t_s) + self._sent_after_s
        await asyncio.sleep(max(0.0, sent_s - asyncio.get_running_loop().time()))
        packet = av.Packet(self._packets[n].data)
        packet.pts = packet.dts = round(t_s * self._rate)
        packet.time_base = Fraction(1, self._rate)
        self.sent += 1
        return packet


class Flash(MediaStreamTrack):
    """A grey picture that is white for ``FLASH_S`` of each second of the clock; it begins when it is asked for."""

    kind = "video"

    def __init__(self, size: tuple[int, int] = (640, 360), fps: int = 25, grey: int = 90) -> None:
        super().__init__()
        self._fps = fps
        self._begin_s = 0.0
        self._count = 0
        self._pictures = [np.full((size[1] * 3 // 2, size[0]), luma, np.uint8) for luma in (grey, 235)]
        for picture in self._pictures:
            picture[size[1] :] = 128

    async def recv(self) -> av.VideoFrame:
        """The next picture."""
        self._begin_s = self._begin_s or time.time()
        t_s = self._count / self._fps
        await asyncio.sleep(max(0.0, self._begin_s + t_s - time.time()))
        frame = av.VideoFrame.from_ndarray(self._pictures[(self._begin_s + t_s) % 1 < FLASH_S], format="yuv420p")
        frame.pts, frame.time_base = round(t_s * PICTURE_HZ), Fraction(1, PICTURE_HZ)
        self._count += 1
        return frame


class Beep(MediaStreamTrack):
    """A tone of ``tone_hz`` for ``BEEP_S`` of each second of the clock; it begins when it is asked for."""

    kind = "audio"

    def __init__(self, tone_hz: int = 1000) -> None:
        super().__init__()
        self._tone_hz = tone_hz
        self._begin_s = 0.0
        self._count = 0

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, once they are over: nobody has heard them before."""
        self._begin_s = self._begin_s or time.time()
        t_s = float(self._count * _SOUND_S)
        await asyncio.sleep(max(0.0, self._begin_s + t_s + float(_SOUND_S) - time.time()))
        samples = int(SOUND_HZ * _SOUND_S)
        times_s = self._begin_s + t_s + np.arange(samples) / SOUND_HZ
        sound = np.where(times_s % 1 < BEEP_S, np.sin(2 * np.pi * self._tone_hz * times_s), 0) * _LEVEL
        frame = av.AudioFrame.from_ndarray(sound.astype(np.int16)[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = SOUND_HZ
        frame.pts, frame.time_base = self._count * samples, Fraction(1, SOUND_HZ)
        self._count += 1
        return frame


class Publisher:
    """A connection that sends ``tracks``; pictures as ``codec``."""

    def __init__(self, tracks: Sequence[MediaStreamTrack], codec: VideoCodec) -> None:
        self.connection: Final = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for track in tracks:
            transceiver = self.connection.addTransceiver(track, direction="sendonly")
            if track.kind == "video":
                wanted = {f"video/{codec.lower()}", "video/rtx"}
                codecs = RTCRtpSender.getCapabilities("video").codecs
                transceiver.setCodecPreferences([c for c in codecs if c.mimeType.lower() in wanted])

    async def connect(self, exchange: Exchange) -> None:
        """Offer the tracks, and send when the answer is there."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await exchange(self.connection.localDescription.sdp)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        await self.connection.close()
