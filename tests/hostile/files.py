"""Hostile recordings: they refer to other resources, exhaust memory or time, or have a misleading format."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Final

import av
import numpy as np

from tests.hostile.matroska import OPUS, VP8, block, cluster, element, matroska, picture_settings, track, unsigned

BOMB_PX: Final = 8192
MILLION: Final = 1_000_000
YEAR_MS: Final = 31_556_952_000


@cache
def healthy(container: str) -> bytes:
    """A grey picture of 1 s, in MP4 (H.264) or WebM (VP8)."""
    file = BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream("libx264" if container == "mp4" else "libvpx", rate=10)
        stream.width, stream.height = 160, 90
        stream.pix_fmt = "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((90, 160, 3), 100 + number, np.uint8), "rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


@cache
def vp8_frame() -> bytes:
    """A key frame."""
    with av.open(BytesIO(healthy("webm")), "r") as file:
        return bytes(next(packet for packet in file.demux() if packet.is_keyframe))


def playlist(port: int) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n".encode()


def script(port: int) -> bytes:
    return f"ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/a.mp4'\nfile '../../secret.mp4'\n".encode()


def session(port: int) -> bytes:
    return (
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=room\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n"
    ).encode()


def dash(port: int) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        f'<Representation id="1" bandwidth="1"><BaseURL>http://127.0.0.1:{port}/a.mp4</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    ).encode()


def outside_reference(port: int) -> bytes:
    """An MP4 file with a data reference to a URL."""
    url = f"http://127.0.0.1:{port}/a.mp4".encode() + b"\0"
    data = healthy("mp4")
    inside = struct.pack(">I4sI", 12, b"url ", 1)
    assert inside in data
    grown = struct.pack(">I4sI", 12 + len(url), b"url ", 0) + url
    return _spliced(data, inside, grown)


def bomb() -> bytes:
    """A VP8 picture whose header says 8192 x 8192; the memory is allocated before the rest is read."""
    frame = bytearray(vp8_frame())
    frame[6:10] = struct.pack("<HH", BOMB_PX, BOMB_PX)
    return matroska([track(1, VP8, picture_settings(BOMB_PX, BOMB_PX))], cluster(0, block(1, 0, bytes(frame))))


@cache
def real_bomb() -> bytes:
    """An H.264 picture that really is that large, in 200 kB."""
    file = BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=1)
        stream.width = stream.height = BOMB_PX
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"preset": "ultrafast", "tune": "zerolatency"}
        frame = av.VideoFrame(BOMB_PX, BOMB_PX, "yuv420p")
        for plane in frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def late_bomb() -> bytes:
    """The same after an intact picture, in a file whose header states a small size."""
    frame = bytearray(vp8_frame())
    frame[6:10] = struct.pack("<HH", BOMB_PX, BOMB_PX)
    blocks = [block(1, 0, vp8_frame()), block(1, 500, bytes(frame)), block(1, 900, vp8_frame())]
    return matroska([track(1, VP8, picture_settings(160, 90))], cluster(0, *blocks))


def tiny_packets() -> bytes:
    """A million packets of one byte after an intact picture."""
    tiny = b"".join(block(1, ms, b"\1") for ms in range(10_000))
    clusters = (cluster(start_ms, tiny) for start_ms in range(1000, 1000 + MILLION, 10_000))
    return matroska([track(1, VP8, picture_settings(160, 90))], cluster(0, block(1, 0, vp8_frame())), *clusters)


def torn_sound() -> bytes:
    """Half a million packets of sound with gaps between them."""
    tiny = b"".join(block(1, ms, b"\0") for ms in range(0, 30_000, 20))
    clusters = (cluster(start_ms, tiny) for start_ms in range(0, 10_000_000, 30_000))
    sound = element(0xE1, element(0xB5, struct.pack(">d", 48000)), unsigned(0x9F, 1))
    private = element(0x63A2, b"OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0")
    return matroska([track(1, OPUS, sound, private)], *clusters)


def claims_years() -> bytes:
    """All durations in the header have their maximum; the samples last 1 s."""
    data = bytearray(healthy("mp4"))
    for name, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20), (b"elst", 12)):
        at = data.index(name) + offset
        data[at : at + 4] = b"\x7f\xff\xff\xff"
    return bytes(data)


def claims_centuries() -> bytes:
    """The same in WebM."""
    frames = [block(1, 100 * number, vp8_frame()) for number in range(10)]
    info = element(0x4489, struct.pack(">d", 1e15))
    return matroska([track(1, VP8, picture_settings(160, 90))], cluster(0, *frames), info=info)


def jumps_by_years() -> bytes:
    clusters = [cluster(30 * YEAR_MS * number, block(1, 0, vp8_frame())) for number in range(3)]
    return matroska([track(1, VP8, picture_settings(160, 90))], *clusters)


def jumps_beyond_all_time() -> bytes:
    clusters = [cluster(ms, block(1, 0, vp8_frame())) for ms in (0, 2**62, 2**63 - 1, 2**64 - 1, 5)]
    return matroska([track(1, VP8, picture_settings(160, 90))], *clusters)


def many_streams() -> bytes:
    tracks = [track(number, VP8, picture_settings(160, 90)) for number in range(1, 5001)]
    return matroska(tracks, cluster(0, block(1, 0, vp8_frame())))


def many_tracks() -> bytes:
    """The same in MP4."""
    data = healthy("mp4")
    at = data.index(b"trak") - 4
    size = struct.unpack_from(">I", data, at)[0]
    trak = data[at : at + size]
    return _spliced(data, trak, trak * 3000)


def deep_boxes() -> bytes:
    """Boxes in boxes in boxes."""
    inner = b""
    for _ in range(20_000):
        inner = struct.pack(">I4s", len(inner) + 8, b"trak") + inner
    return healthy("mp4")[:32] + struct.pack(">I4s", len(inner) + 8, b"moov") + inner


def greedy_table() -> bytes:
    """A sample table that claims four billion entries."""
    data = bytearray(healthy("mp4"))
    for name in (b"stts", b"stsz", b"stsc", b"stco"):
        at = data.index(name) + (12 if name == b"stsz" else 8)
        data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def greedy_private() -> bytes:
    """Codec private data with a stated size of 4 GB, in a small file."""
    huge = (0x63A2).to_bytes(2, "big") + (2**32 | 1 << 56).to_bytes(8, "big") + b"x"
    return matroska([track(1, VP8, picture_settings(160, 90), huge)])


def _spliced(data: bytes, old: bytes, new: bytes) -> bytes:
    """``data`` with a box replaced, and the sizes of its parents adjusted."""
    at = data.index(old)
    grown = bytearray(data[:at] + new + data[at + len(old) :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = data.find(name) - 4
        if 0 <= start < at:
            size = struct.unpack_from(">I", data, start)[0]
            if start + size >= at + len(old):
                struct.pack_into(">I", grown, start, size + len(new) - len(old))
    return bytes(grown)


REACHING_OUT: Final[dict[str, Callable[[int], bytes]]] = {
    "playlist.mp4": playlist,
    "script.webm": script,
    "session.mp4": session,
    "dash.mp4": dash,
    "reference.mp4": outside_reference,
}
"""Functions by file name, called with the port of a listener on loopback."""

GREEDY: Final[dict[str, Callable[[], bytes]]] = {
    "bomb.webm": bomb,
    "real-bomb.mp4": real_bomb,
    "late-bomb.webm": late_bomb,
    "years.mp4": claims_years,
    "centuries.webm": claims_centuries,
    "jumps.webm": jumps_by_years,
    "overflow.webm": jumps_beyond_all_time,
    "streams.webm": many_streams,
    "tracks.mp4": many_tracks,
    "deep.mp4": deep_boxes,
    "table.mp4": greedy_table,
    "private.webm": greedy_private,
}
LENGTHY: Final[dict[str, Callable[[], bytes]]] = {"tiny.webm": tiny_packets, "torn.webm": torn_sound}
"""Files that take long to read."""
