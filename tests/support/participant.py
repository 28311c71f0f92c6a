"""Senders without a browser: they repeat a clip, and come back when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urljoin

import av
import httpx
import numpy as np

from owtmix.demo.publisher import Clip, EncodedPacket, Publisher, Repeated, VideoCodec, read_clip
from owtmix.recorder.rtp.ice import IceSettings
from owtmix.recorder.rtp.install import use_addresses
from tests.support.server import PATIENCE_S

_RETRY_S: Final = 0.1
_SOUND: Final = 960


class _Begun(Repeated):
    """Begins when it is connected: what it had to send before would come all at once."""

    def __init__(self, kind: Literal["audio", "video"], packets: Sequence[EncodedPacket]) -> None:
        super().__init__(kind, packets, 0.0)
        self.is_paused = False

    async def recv(self) -> Any:
        """The next packet."""
        self._begin_s = self._begin_s or asyncio.get_running_loop().time()
        if self.is_paused:
            await asyncio.Event().wait()
        return await super().recv()


class Participant:
    """Sends ``clip`` to ``whip``, in loopback."""

    def __init__(self, whip: str, clip: Clip) -> None:
        self.stream = whip.rpartition("/")[2]
        self.tracks: list[_Begun] = []
        self._whip = whip
        self._clip = clip
        self._publisher: Publisher | None = None
        self._session = ""
        use_addresses(IceSettings(("127.0.0.1",)))

    async def join(self) -> None:
        """Connect, which is tried until the service is there. Tracks begin once they are connected."""
        self.tracks = [_Begun("video", self._clip.video), _Begun("audio", self._clip.audio)]
        self._publisher = Publisher(self.tracks, self._clip.codec)
        await asyncio.wait_for(self._publisher.connect(self._exchange), PATIENCE_S)

    @property
    def offer(self) -> str:
        """What it offers while it is there."""
        assert self._publisher
        return str(self._publisher.connection.localDescription.sdp)

    async def offered(self, headers: dict[str, str]) -> httpx.Response:
        """The answer to an offer that is made once, with more ``headers``; nothing is sent."""
        publisher = Publisher([_Begun("audio", self._clip.audio)], self._clip.codec)
        found: list[httpx.Response] = []

        async def exchange(offer: str) -> str:
            async with _http() as http:
                content = {"content-type": "application/sdp", **headers}
                found.append(await http.post(self._whip, content=offer, headers=content))
            raise ConnectionError

        with suppress(ConnectionError):
            await publisher.connect(exchange)
        await publisher.close()
        return found[0]

    async def leave(self) -> None:
        """End the session by its resource, as a sender does."""
        async with _http() as http:
            answer = await http.delete(self._session)
        assert answer.status_code == httpx.codes.OK, answer.text
        await self.vanish()

    def pause(self) -> None:
        """Send nothing more, and stay."""
        for track in self.tracks:
            track.is_paused = True

    async def vanish(self) -> None:
        """Send no more, and say nothing of it."""
        if self._publisher:
            await self._publisher.close()
        self._publisher = None

    async def _exchange(self, offer: str) -> str:
        async with _http() as http:
            while True:
                try:
                    answer = await http.post(self._whip, content=offer, headers={"content-type": "application/sdp"})
                except httpx.TransportError:
                    await asyncio.sleep(_RETRY_S)
                    continue
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                await asyncio.sleep(_RETRY_S)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        self._session = urljoin(self._whip, answer.headers["location"])
        return answer.text


async def wait_for(holds: Callable[[], Any], what: str) -> None:
    """As ``wait_until``, while senders go on. ``holds`` is called in a thread."""
    until_s = asyncio.get_running_loop().time() + PATIENCE_S
    while not await asyncio.to_thread(holds):
        assert asyncio.get_running_loop().time() < until_s, f"not within {PATIENCE_S:g} s: {what}"
        await asyncio.sleep(0.05)


def make_clip(
    path: Path,
    codec: VideoCodec,
    size: tuple[int, int] = (320, 180),
    fps: int = 25,
    seconds: int = 4,
    kbps: int = 200,
    noise: int = 0,
) -> Clip:
    """A clip with a key frame each half second, and a tone. ``noise``, up to 255, keeps the encoder to its rate."""
    chance = np.random.default_rng(1)
    options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"} if codec == "H264" else {}
    with av.open(str(path), "w", format="matroska") as out:
        picture: Any = out.add_stream("libx264" if codec == "H264" else "libvpx", rate=fps, options=options)
        picture.width, picture.height, picture.pix_fmt = *size, "yuv420p"
        picture.bit_rate, picture.gop_size, picture.thread_count = kbps * 1000, fps // 2, 1
        sound: Any = out.add_stream("libopus", rate=48_000)
        sound.layout = "mono"
        for number in range(seconds * fps):
            plane = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
            plane[:, : size[0] * (number + 1) // (seconds * fps)] = 90
            if noise:
                plane[: size[1] // 2] = chance.integers(0, noise, (size[1] // 2, size[0]), np.uint8)
            frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            out.mux(picture.encode(frame))
        for number in range(seconds * 48_000 // _SOUND):
            times = (number * _SOUND + np.arange(_SOUND)) / 48_000
            wave = (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
            heard = av.AudioFrame.from_ndarray(wave[np.newaxis], format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 48_000, number * _SOUND, Fraction(1, 48_000)
            out.mux(sound.encode(heard))
        out.mux(picture.encode(None))
        out.mux(sound.encode(None))
    return read_clip(path)


def _http() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S)
