"""What a decoder needs is read from the header of the file, however it is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import process_time

import av
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from owtmix.media.decoder_memory import HELD_FRAMES, MOST_REFERENCES, TABLES, decoder_bytes, references_of

SIDE_PX = 192
PADDED_PX = 256
FRAME_BYTES = PADDED_PX * PADDED_PX * 3 // 2


def frames_needed(path: Path) -> float:
    """How many frames the estimate has room for, besides those that every decoder holds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        reorder = stream.codec_context.reorder_depth
        return decoder_bytes(stream) / FRAME_BYTES / TABLES - HELD_FRAMES - reorder


def record(path: Path, codec: str, options: Mapping[str, str], container: str | None = None) -> Path:
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=10, options=dict(options))
        assert isinstance(stream, VideoStream)
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for number in range(12):
            frame = VideoFrame(SIDE_PX, SIDE_PX, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number * 9]) * plane.buffer_size)
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


H264 = {"preset": "ultrafast"}


@pytest.mark.parametrize("references", [1, 3, 16])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.h264"])
def test_h264_states_its_references(tmp_path: Path, name: str, references: int) -> None:
    """With lengths in MP4 and Matroska, and with start codes."""
    path = record(tmp_path / name, "libx264", H264 | {"x264-params": f"ref={references}:bframes=0"})
    assert frames_needed(path) == pytest.approx(references, abs=0.01)


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_every_profile_of_h264_is_read(tmp_path: Path, profile: str) -> None:
    path = record(tmp_path / "a.mp4", "libx264", {"profile": profile, "x264-params": "ref=5:bframes=0:cqm=jvt"})
    assert frames_needed(path) == pytest.approx(5, abs=0.01)


def test_h264_with_444_and_matrices_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        params = {"x264-params": "ref=4:bframes=0:cqm=jvt", "profile": "high444"}
        stream = file.add_stream("libx264", rate=10, options=params)
        assert isinstance(stream, VideoStream)
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv444p"
        file.mux(stream.encode(VideoFrame(SIDE_PX, SIDE_PX, "yuv444p")))
        file.mux(stream.encode(None))
    assert frames_needed(path) == pytest.approx(2 * 4 + HELD_FRAMES, abs=0.01)  # frames of twice the size


def test_hevc_states_its_references(tmp_path: Path) -> None:
    params = {"preset": "ultrafast", "x265-params": "ref=3:bframes=0:log-level=none"}
    assert frames_needed(record(tmp_path / "a.mp4", "libx265", params)) == pytest.approx(3, abs=1.01)


@pytest.mark.parametrize(("codec", "references"), [("libvpx", 3), ("libvpx-vp9", 8)])
def test_other_codecs_have_their_limits(tmp_path: Path, codec: str, references: int) -> None:
    path = record(tmp_path / "a.webm", codec, {"deadline": "realtime", "cpu-used": "8"})
    assert frames_needed(path) == pytest.approx(references, abs=0.01)


def test_a_header_without_end_takes_no_time() -> None:
    """Of one huge code."""
    started = process_time()
    assert references_of("h264", b"\0\0\1\x67\x64\0\x1f" + b"\0" * 1_000_000 + b"\1") == MOST_REFERENCES
    assert references_of("hevc", b"\0\0\1\x42\1" + b"\0\x80" * 500_000) == MOST_REFERENCES
    assert process_time() - started < 1
