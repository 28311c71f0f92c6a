"""Decoding on a GPU: fallbacks to the CPU, tested without a GPU."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.media.nvdec import is_blank_on_gpu, is_usable
from owtmix.media.video_reader import VideoReader
from tests.media.pictures import flat, number_of, steady, textured, write_film, write_sizes
from tests.support.card.gpu_frame import gpu_frame
from tests.support.card.lazy_device import memory_at

TIMES: Final = [Fraction(ms, 1000) for ms in range(0, 3200, 50)]


class FakeGpu:
    """A GPU whose memory is main memory. With ``hardware`` None, FFmpeg decodes on the CPU."""

    name = "cuda:0"

    def __init__(self, hardware: HWAccel | None) -> None:
        self._hardware = hardware

    def hardware(self) -> Any:
        return self._hardware

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        return np.stack([memory_at(address + row * pitch, width) for row in range(rows)])


def numbers(reader: VideoReader) -> list[int | None]:
    frames = [reader.frame_at(t) for t in TIMES]
    reader.close()
    return [number_of(decoded.frame) if decoded else None for decoded in frames]


@pytest.mark.parametrize("name", ["film.mp4", "film.webm"])
def test_a_file_that_the_gpu_does_not_decode_is_decoded_on_the_cpu(tmp_path: Path, name: str) -> None:
    """GPU 63 does not exist."""
    path = write_film(tmp_path / name, steady(30))
    reader = VideoReader(path, 0, FakeGpu(HWAccel("cuda", "63", is_hw_owned=True)))
    assert numbers(reader) == numbers(VideoReader(path, 0))
    assert reader.stats.decoders == ("cpu",)


def test_frames_in_main_memory_count_as_decoded_on_the_cpu(tmp_path: Path) -> None:
    path = write_sizes(tmp_path / "film.webm", (Size(64, 48), steady(10)), (Size(48, 80), steady(20, first_ms=1000)))
    reader = VideoReader(path, 0, FakeGpu(None))
    assert numbers(reader) == numbers(VideoReader(path, 0))
    assert reader.stats.decoders == ("cpu",)
    assert reader.stats.sizes == (Size(64, 48), Size(48, 80))


@pytest.mark.parametrize("first", [Fraction(0), Fraction(14, 10), Fraction(29, 10)])
def test_the_cpu_decodes_from_the_first_damage_on(tmp_path: Path, first: Fraction) -> None:
    def broken(number: int, packet: Packet[Any]) -> Packet[Any]:
        if number not in {15, 16}:
            return packet
        replaced: Packet[Any] = Packet(b"\xff" * 40)
        replaced.stream, replaced.pts, replaced.dts = packet.stream, packet.pts, packet.dts
        replaced.time_base = packet.time_base
        return replaced

    path = write_film(tmp_path / "film.webm", steady(30), gop=10, tamper=broken)
    plain, reader = VideoReader(path, 0), VideoReader(path, 0, FakeGpu(None))
    times = [t for t in TIMES if t >= first]
    for t in times:
        expected, decoded = plain.frame_at(t), reader.frame_at(t)
        assert (expected and number_of(expected.frame)) == (decoded and number_of(decoded.frame))
    assert plain.stats.damage == reader.stats.damage
    assert bool(plain.stats.damage.count) == (first < 2)
    assert (reader._gpu is None) == (first < 2)


FLAT: Final[dict[str, tuple[VideoFrame, bool]]] = {
    "black": (flat(Size(64, 48), (16, 128, 128)), True),
    "nearly": (flat(Size(64, 48), (18, 130, 126)), True),
    "dark": (flat(Size(64, 48), (30, 128, 128)), False),
    "textured": (textured(Size(64, 48)), False),
}


@pytest.mark.parametrize("pixel_format", ["nv12", "p010le", "yuv444p"])
@pytest.mark.parametrize("name", FLAT)
def test_a_muted_camera_is_detected_from_some_rows(name: str, pixel_format: str) -> None:
    frame, blank = FLAT[name]
    assert is_blank_on_gpu(FakeGpu(None), gpu_frame(frame.reformat(format=pixel_format))) == blank


@pytest.mark.parametrize("plane", [0, 1])
def test_a_black_frame_with_a_light_spot_is_no_muted_camera(plane: int) -> None:
    frame = flat(Size(64, 48), (16, 128, 128)).reformat(format="nv12")
    rows = np.frombuffer(memoryview(frame.planes[plane]), np.uint8).reshape(-1, frame.planes[plane].line_size)
    rows[0, 1] = 90
    assert not is_blank_on_gpu(FakeGpu(None), gpu_frame(frame))


def test_frames_in_other_formats_or_damaged_are_left_to_the_cpu() -> None:
    shown = Size(64, 48)
    frame = gpu_frame(textured(shown).reformat(format="nv12"))
    assert is_usable(frame, shown)
    assert not is_usable(frame, Size(62, 48)), "two columns at the left are cropped"
    frame.is_corrupt = True
    assert not is_usable(frame, shown)
    frame.is_corrupt = False
    frame.sw_format.name = "rgb24"
    assert not is_usable(frame, shown)
    frame.format.name = "rgb24"
    assert is_usable(frame, shown)
