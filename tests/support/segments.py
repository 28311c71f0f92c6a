"""Segments of a live mix, made in code: pictures that have their number in them, and a beep with each second."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

Packet = Any
"""Of PyAV, of either kind."""

FPS: Final = 25
RATE_HZ: Final = 48_000
TONE_HZ: Final = 1000
KEPT: Final = 30
"""Segments that a mix keeps."""

_SAMPLES: Final = 1024
_SIZE: Final = (160, 96)
_BITS: Final = 16
_WHITE, _BLACK = 235, 16
_BEEP_S: Final = 0.1


def make_segments(seconds: float, segment_s: float = 2.0, *, b_frames: int = 0, start_ms: int = 1000) -> list[bytes]:
    """A mix cut at its key frames, each part as FFmpeg's muxer of FLV has it.

    The mix begins at ``start_ms``, which has room
    for pictures that are decoded before they are shown.
    """
    whole = io.BytesIO()
    with av.open(whole, "w", format="mp4") as out:
        _encode(out, seconds, round(segment_s * FPS), b_frames)
    with av.open(io.BytesIO(whole.getvalue()), "r") as mix:
        packets = [packet for packet in mix.demux() if packet.dts is not None]
        keys = [_s(packet) for packet in packets if packet.stream.type == "video" and packet.is_keyframe]
        parts: list[list[Packet]] = [[] for _ in keys]
        for packet in packets:
            at = sum(key <= _s(packet) + 1e-6 for key in keys[1:])
            parts[at].append(packet)
        return [_segment(mix, part, start_ms) for part in parts]


def put(folder: Path, number: int, data: bytes) -> None:
    """Have a segment appear at once, and older ones go, as the mixer does."""
    flv = folder / "flv"
    flv.mkdir(parents=True, exist_ok=True)
    part = flv / f".{number:06}.part"
    part.write_bytes(data)
    part.rename(flv / f"{number:06}.flv")
    (flv / f"{number - KEPT:06}.flv").unlink(missing_ok=True)


def end(folder: Path) -> None:
    """No more come."""
    (folder / "flv").mkdir(parents=True, exist_ok=True)
    (folder / "flv" / "end").touch()


class Feeder:
    """Has segments appear in real time from a thread, the first one at once, and then the end."""

    def __init__(self, folder: Path, segments: Sequence[bytes], segment_s: float, first: int = 0) -> None:
        self._parts = folder, segments, segment_s, first
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have no more appear."""
        self._ends.set()
        self._thread.join(10)

    def _run(self) -> None:
        folder, segments, segment_s, first = self._parts
        begin_s = time.monotonic()
        for number, data in enumerate(segments):
            if self._ends.wait(max(0.0, begin_s + number * segment_s - time.monotonic())):
                return
            put(folder, first + number, data)
        end(folder)


def number_of(frame: av.VideoFrame) -> int:
    """The number that a picture has in it."""
    plane = frame.planes[0]
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    lumas = rows.reshape(frame.height, _BITS, -1).mean(axis=(0, 2))
    return sum(1 << bit for bit, luma in enumerate(lumas) if luma > (_WHITE + _BLACK) / 2)


def tags_of(segment: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, time and content of each tag, by a reader that trusts everything."""
    found, at = [], 13
    while at < len(segment):
        size = int.from_bytes(segment[at + 1 : at + 4], "big")
        time_ms = int.from_bytes(segment[at + 7 : at + 8] + segment[at + 4 : at + 7], "big")
        found.append((segment[at], time_ms, segment[at + 11 : at + 11 + size]))
        at += 15 + size
    return found


def to_tag(kind: int, time_ms: int, data: bytes, *, size: int | None = None) -> bytes:
    """A tag, whose head may lie about its size."""
    said = len(data) if size is None else size
    ms = time_ms.to_bytes(4, "big")
    head = bytes([kind]) + said.to_bytes(3, "big") + ms[1:] + ms[:1] + bytes(3)
    return head + data + (11 + said).to_bytes(4, "big")


def to_segment(*tags: bytes) -> bytes:
    """A file of such tags."""
    return b"FLV\1\5\0\0\0\x09\0\0\0\0" + b"".join(tags)


def _segment(mix: Any, packets: list[Packet], start_ms: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in mix.streams}
        for packet in packets:
            later = round(start_ms / 1000 / float(packet.time_base or 1))
            packet.pts, packet.dts = (packet.pts or 0) + later, (packet.dts or 0) + later
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    return file.getvalue()


def _encode(out: Any, seconds: float, gop: int, b_frames: int) -> None:
    options = {"preset": "ultrafast", "bf": str(b_frames), "b-adapt": "0", "sc_threshold": "0", "rc-lookahead": "0"}
    picture = out.add_stream("libx264", rate=FPS, options=options | {"forced-idr": "1", "x264-params": "open-gop=0"})
    picture.width, picture.height, picture.pix_fmt = *_SIZE, "yuv420p"
    picture.gop_size, picture.thread_count = gop, 1
    sound = out.add_stream("aac", rate=RATE_HZ, layout="stereo")
    for number in range(round(seconds * FPS)):
        out.mux(picture.encode(_picture(number)))
    out.mux(picture.encode(None))
    for number in range(round(seconds * RATE_HZ / _SAMPLES)):
        out.mux(sound.encode(_block(number)))
    out.mux(sound.encode(None))


def _picture(number: int) -> av.VideoFrame:
    plane = np.full((_SIZE[1] * 3 // 2, _SIZE[0]), 128, np.uint8)
    bits = [_WHITE if number >> bit & 1 else _BLACK for bit in range(_BITS)]
    plane[: _SIZE[1]] = np.repeat(bits, _SIZE[0] // _BITS)
    frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _block(number: int) -> av.AudioFrame:
    times = (number * _SAMPLES + np.arange(_SAMPLES)) / RATE_HZ
    wave = np.where(times % 1 < _BEEP_S, 0.25 * np.sin(2 * np.pi * TONE_HZ * (times % 1)), 0).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, number * _SAMPLES, Fraction(1, RATE_HZ)
    return frame


def _s(packet: Packet) -> float:
    assert packet.dts is not None
    assert packet.time_base is not None
    return float(packet.dts * packet.time_base)
