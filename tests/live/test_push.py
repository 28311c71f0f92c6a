"""A mix that is pushed to Debian's nginx-rtmp: what it wrote and what a player saw are measured."""

from __future__ import annotations

import asyncio
import io
import itertools
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import pytest

from owtmix.live.flv_tags import read_tags
from owtmix.live.publisher import Publisher
from owtmix.live.target import Target, connect
from owtmix.net.addresses import LOOPBACK
from tests.e2e.measure import beeps
from tests.live.conftest import Tell
from tests.support.people import BEEP_MS
from tests.support.pusher import KEY, address, pushing
from tests.support.rtmp import HAS_NGINX_RTMP, NO_NGINX_RTMP, free_address, recording_nginx
from tests.support.segments import FPS, RATE_HZ, TONE_HZ, Feeder, make_segments, number_of
from tests.support.server import wait_until

pytestmark = [pytest.mark.serial, pytest.mark.skipif(not HAS_NGINX_RTMP, reason=NO_NGINX_RTMP)]

SEGMENT_S: Final = 2.0
PICTURE_MS: Final = 1000 / FPS
AAC_MS: Final = 1024 * 1000 / RATE_HZ
LIP_SYNC_MS: Final = 5.0
"""From picture to sound; times are whole milliseconds."""
MOST_OUT_S: Final = 2 * SEGMENT_S + 6
"""Of a server that is started again: its start, a pause, and the segment that is begun then."""
WRITTEN_S: Final = 0.5
"""Until nginx has written what it received."""
SETTLED_MS: Final = 500
"""The first frame of AAC is decoded without the one before: a beep in it is half of one."""
NEAR_MS: Final = 300
"""Of a beep and the picture that belongs to it; the next ones are a second away."""


@dataclass(frozen=True)
class Received:
    """Times in milliseconds, as they are in a file."""

    decoded_ms: list[float]
    shown_ms: list[float]
    numbers: list[int]
    sound_ms: list[float]
    beeps_ms: list[float]

    def lip_sync_ms(self) -> list[float]:
        """How much later each whole beep is than the picture of the mix's same second."""
        shown = zip(self.numbers, self.shown_ms, strict=True)
        seconds = [at for number, at in shown if number % FPS == 0]
        whole_until_ms = self.sound_ms[-1] + AAC_MS - BEEP_MS
        heard = [beep for beep in self.beeps_ms if SETTLED_MS < beep <= whole_until_ms]
        return [beep - at for at in seconds for beep in heard if abs(beep - at) < NEAR_MS]


def received(path: Path) -> Received:
    """Read a file that nginx wrote."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux() if packet.dts is not None and packet.size]
        decoded = [_ms(one.dts, one) for one in packets if one.stream.type == "video"]
        sound = [_ms(one.dts, one) for one in packets if one.stream.type == "audio"]
    with av.open(str(path)) as file:
        frames = [(_ms(frame.pts, frame), number_of(frame)) for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        # One after the other: whole milliseconds, where FLV has frames, would tear tones.
        samples = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
    heard = [sound[0] + at * 1000 for at in beeps(samples, TONE_HZ)]
    return Received(decoded, [ms for ms, _ in frames], [number for _, number in frames], sound, heard)


def check(found: Received) -> None:
    """Pictures and sound follow each other without gap, and belong together."""
    assert found.numbers == list(range(found.numbers[0], found.numbers[0] + len(found.numbers)))
    assert {round(ms) for ms in _steps(found.decoded_ms)} == {round(PICTURE_MS)}
    assert {round(ms) for ms in _steps(found.shown_ms)} == {round(PICTURE_MS)}
    assert all(abs(ms - AAC_MS) <= 1 for ms in _steps(found.sound_ms))
    assert min(found.decoded_ms[0], found.sound_ms[0]) == 0
    assert abs(found.sound_ms[-1] - found.shown_ms[-1]) < 200
    apart = found.lip_sync_ms()
    assert len(apart) >= len(found.numbers) // FPS - 2
    assert all(abs(ms) <= LIP_SYNC_MS for ms in apart)


@pytest.mark.parametrize(("b_frames", "start_ms"), [(0, 1000), (2, 0xFFFFFF + 5000)])
def test_nginx_receives_all_of_a_mix(tmp_path: Path, tell: Tell, b_frames: int, start_ms: int) -> None:
    rtmp, written = free_address(), tmp_path / "nginx"
    segments = make_segments(10, SEGMENT_S, b_frames=b_frames, start_ms=start_ms)
    with recording_nginx(written, rtmp):
        Feeder(tmp_path, segments, SEGMENT_S)
        with pushing(tmp_path, {"url": address(int(rtmp.split(":")[1]))}) as pusher:
            assert pusher.status() == 0
        (path,) = written.glob("*.flv")
        wait_until(lambda: path.stat().st_size > sum(map(len, segments)) * 0.9, "nginx has written it")
    found = received(path)
    tell(f"{_described(found)}; told {pusher.states()}")
    assert pusher.states() == ["living", "ended"]
    assert (found.numbers[0], found.numbers[-1]) == (0, 10 * FPS - 1)
    check(found)


def test_nginx_receives_times_beyond_24_bits(tmp_path: Path, tell: Tell) -> None:
    """A connection of more than four hours, without waiting for them."""
    rtmp, written = free_address(), tmp_path / "nginx"
    segments = make_segments(6, SEGMENT_S, start_ms=0xFFFFFF - 3000)
    target = Target.parse(address(int(rtmp.split(":")[1])))

    async def publish() -> None:
        publisher = Publisher(await connect(target, LOOPBACK, 10), target, 10)
        await publisher.begin({})
        tags = [tag for segment in segments for tag in read_tags(io.BytesIO(segment))]
        last_ms = min(tag.time_ms for tag in tags if not tag.is_configuration)
        for tag in tags:
            last_ms = last_ms if tag.is_configuration else tag.time_ms
            await publisher.send(tag.kind, last_ms, tag.data)
        await publisher.end()
        await publisher.close()
        assert last_ms > 0xFFFFFF + 2000

    with recording_nginx(written, rtmp):
        asyncio.run(publish())
        wait_until(lambda: list(written.glob("*.flv")), "nginx writes")
        time.sleep(WRITTEN_S)
    found = received(next(written.glob("*.flv")))
    tell(_described(found))
    assert found.numbers[-1] == 6 * FPS - 1
    check(found)


def test_a_player_sees_the_mix_with_its_times(tmp_path: Path, tell: Tell) -> None:
    rtmp = free_address()
    seen: list[tuple[float, int]] = []

    def play() -> None:
        url = address(int(rtmp.split(":")[1])).split("?")[0]
        # How nginx tells the end is an error for FFmpeg.
        with suppress(av.error.FFmpegError, OSError), av.open(url, options={"rtmp_live": "live"}, timeout=20) as stream:
            seen.extend((_ms(frame.pts, frame), number_of(frame)) for frame in stream.decode(video=0))

    with recording_nginx(tmp_path / "nginx", rtmp):
        Feeder(tmp_path, make_segments(10, SEGMENT_S), SEGMENT_S)
        with pushing(tmp_path, {"url": address(int(rtmp.split(":")[1]))}) as pusher:
            pusher.wait_for("living")
            player = threading.Thread(target=play, daemon=True)
            player.start()
            assert pusher.status() == 0
            player.join(30)
    numbers = [number for _, number in seen]
    tell(f"a player saw pictures {numbers[0]} to {numbers[-1]} of 250")
    assert numbers == list(range(numbers[0], 10 * FPS))
    assert {round(ms) for ms in _steps([ms for ms, _ in seen])} == {round(PICTURE_MS)}


def test_a_server_that_is_killed_is_found_again(tmp_path: Path, tell: Tell) -> None:
    rtmp, written = free_address(), tmp_path / "nginx"
    feeder = Feeder(tmp_path, make_segments(24, SEGMENT_S), SEGMENT_S)
    with pushing(tmp_path, {"url": address(int(rtmp.split(":")[1]))}) as pusher:
        with recording_nginx(written, rtmp) as server:
            pusher.wait_for("living")
            time.sleep(6)
            server.send_signal(signal.SIGKILL)
        wait_until(lambda: pusher.states()[-1] == "retrying", "it is missed")
        with recording_nginx(written, rtmp):
            wait_until(lambda: pusher.states()[-1] == "living", "it is found again")
            time.sleep(5)
            assert pusher.stop() == 0
            feeder.stop()
            wait_until(lambda: len(list(written.glob("*.flv"))) == 2, "nginx has written it")
            time.sleep(WRITTEN_S)
    before, after = (received(path) for path in sorted(written.glob("*.flv"), key=lambda path: path.stat().st_mtime))
    missing_s = (after.numbers[0] - before.numbers[-1] - 1) / FPS
    tell(f"{_described(before)}; {_described(after)}; between them {missing_s:+.2f} s; told {pusher.told}")
    assert set(pusher.states()) == {"retrying", "living", "ended"}
    check(after)
    assert before.numbers == list(range(before.numbers[0], before.numbers[-1] + 1))
    assert after.numbers[0] % round(SEGMENT_S * FPS) == 0
    assert -SEGMENT_S <= missing_s <= MOST_OUT_S


def test_a_name_that_is_taken_is_told_and_tried_again(tmp_path: Path) -> None:
    rtmp = free_address()
    feeder = Feeder(tmp_path, make_segments(20, SEGMENT_S), SEGMENT_S)
    order = {"url": address(int(rtmp.split(":")[1]))}
    with recording_nginx(tmp_path / "nginx", rtmp), pushing(tmp_path, order) as first:
        first.wait_for("living")
        with pushing(tmp_path, order) as second:
            refused = second.wait_for("refused")
            assert first.stop() == 0
            second.wait_for("living")
            assert second.stop() == 0
        log = (tmp_path / "nginx" / "log").read_text()
    feeder.stop()
    assert "end who publishes with it already" in refused["reason"]
    assert KEY not in first.words + second.words + str(first.told) + str(second.told)
    assert "max" not in log


def _described(found: Received) -> str:
    apart = found.lip_sync_ms()
    at_ms = found.shown_ms[0], found.shown_ms[-1]
    return (
        f"pictures {found.numbers[0]} to {found.numbers[-1]} at {at_ms[0]:.0f} to {at_ms[1]:.0f} ms, "
        f"steps {_spread(_steps(found.decoded_ms))}, of sound {_spread(_steps(found.sound_ms))}, "
        f"from picture to sound {_spread(apart)}"
    )


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):+.1f} to {max(values):+.1f} ms" if values else "none"


def _steps(values: Sequence[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(values)]


def _ms(at: int | None, of: av.Packet | av.VideoFrame) -> float:  # type: ignore[type-arg]
    assert at is not None
    assert of.time_base is not None
    return float(at * of.time_base) * 1000
