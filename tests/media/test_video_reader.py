"""The newest frame at any time, from any start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import av
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from owtmix.base.errors import InputError
from owtmix.base.geometry import Orientation, Size
from owtmix.compositor.cpu import planes
from owtmix.media.probe import probe
from owtmix.media.video_frame import DecodedFrame
from owtmix.media.video_reader import SEEK_S, VideoReader
from owtmix.plan.media_info import Section
from tests.media.described import noting_frames
from tests.media.pictures import MS, SMALL, flat, number_of, numbered, steady, write_film, write_sizes

UNEVEN_MS: Final = (0, 33, 100, 101, 250, 1000, 1040, 3999, 4000)


def shown(path: Path, times_ms: Sequence[int], sections: Sequence[Section] = ()) -> list[int | None]:
    """The numbers of the frames at rising times; None where there is no frame."""
    reader = VideoReader(path, 0, sections=sections)
    frames = [reader.frame_at(ms * MS) for ms in times_ms]
    reader.close()
    return [number_of(decoded.frame) if decoded else None for decoded in frames]


def newest(frames_ms: Sequence[int], times_ms: Sequence[int]) -> list[int | None]:
    """The expected result: a frame whose time repeats or goes back replaces its predecessor at once."""
    rising = list(accumulate(frames_ms, max))
    return [max((i for i, frame_ms in enumerate(rising) if frame_ms <= ms), default=None) for ms in times_ms]


def pixels(decoded: DecodedFrame | None) -> bytes:
    assert decoded
    return b"".join(plane.tobytes() for plane in planes(decoded.frame))


def open_files(path: Path) -> int:
    """How many of this process's file descriptors are ``path``."""
    links = (Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd"))  # noqa: PTH208 - strings
    return sum(1 for link in links if link.is_symlink() and link.readlink() == path)


@pytest.mark.parametrize("name", ["film.mp4", "film.webm", "film.mkv"])
def test_the_newest_frame_is_shown_at_any_time(tmp_path: Path, name: str) -> None:
    path = write_film(tmp_path / name, UNEVEN_MS)
    times_ms = sorted({ms + off for ms in UNEVEN_MS for off in (-1, 0, 1)} | {500, 2000, 9000})
    assert shown(path, times_ms) == newest(UNEVEN_MS, times_ms)


def test_between_frames_the_same_object_is_returned(tmp_path: Path) -> None:
    reader = VideoReader(write_film(tmp_path / "film.webm", (0, 100)), 0)
    assert reader.frame_at(Fraction(0)) is reader.frame_at(99 * MS)
    first, second = reader.frame_at(99 * MS), reader.frame_at(100 * MS)
    assert first
    assert second
    assert first.serial != second.serial


def test_timestamps_that_repeat_or_go_back_keep_decoding_order(tmp_path: Path) -> None:
    frames_ms = (0, 100, 200, 200, 150, 300, 1000, 400, 500, 1100)
    path = write_film(tmp_path / "film.webm", frames_ms)
    times_ms = range(0, 1300, 50)
    assert shown(path, times_ms) == newest(frames_ms, times_ms)


@pytest.mark.parametrize("name", ["film.mp4", "film.webm"])
def test_a_file_that_starts_at_a_minute_is_read_in_file_time(tmp_path: Path, name: str) -> None:
    frames_ms = steady(30, first_ms=60_000)
    path = write_film(tmp_path / name, frames_ms)
    times_ms = (0, 59_999, 60_000, 60_099, 60_100, 62_900, 70_000)
    assert shown(path, times_ms) == newest(frames_ms, times_ms)


FILMS: Final[dict[str, dict[str, Any]]] = {
    "vp8.webm": {"gop": 25},
    "vp9.webm": {"gop": 25, "encoder": "libvpx-vp9"},
    "without-cues.webm": {"gop": 25, "muxing": {"live": "1"}},
    "one-key-frame.webm": {"gop": 1000},
    "one-key-frame-without-cues.webm": {"gop": 1000, "muxing": {"live": "1"}},
    "small-clusters.webm": {"gop": 25, "muxing": {"cluster_time_limit": "200"}},
    "h264.mp4": {"gop": 25},
    "b-frames.mp4": {"gop": 25, "options": {"bf": "3", "b-pyramid": "normal"}},
    "open-gops.mp4": {"gop": 25, "options": {"bf": "3", "x264-params": "open-gop=1"}},
    "one-key-frame.mp4": {"gop": 1000},
    "fragmented.mp4": {"gop": 25, "muxing": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}},
    "b-frames.mkv": {"gop": 25, "encoder": "libx264", "options": {"bf": "3"}},
}


@pytest.mark.parametrize("name", FILMS)
def test_starting_anywhere_shows_the_same_pixels_as_reading_from_the_start(tmp_path: Path, name: str) -> None:
    """Chunks, previews and resumed runs depend on this."""
    path = write_film(tmp_path / name, steady(100), **FILMS[name])
    times = [Fraction(ms, 1000) for ms in range(0, 10_500, 70)]
    whole = VideoReader(path, 0)
    expected = [pixels(whole.frame_at(t)) for t in times]
    assert len(set(expected)) == 100
    around_key_frame = (i for i, t in enumerate(times) if abs(t - Fraction(5, 2)) < Fraction(1, 2))
    for first in (*range(0, len(times), 11), *around_key_frame):
        reader = VideoReader(path, 0)
        for i in (first, first + 1, first + 7):
            if i < len(times):
                assert pixels(reader.frame_at(times[i])) == expected[i], f"from {times[first]} s, at {times[i]} s"
        reader.close()


def test_starting_late_does_not_decode_from_the_start(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", steady(100), gop=25)
    with noting_frames(lambda decoded: number_of(decoded.frame)) as numbers:
        assert shown(path, [8000]) == [80]
    assert 80 in numbers
    assert len(numbers) < 10


@pytest.mark.parametrize(("name", "options"), [("film.mp4", {"sc_threshold": "0"}), ("film.webm", {})])
def test_starting_at_a_key_frame_decodes_nothing_before_it(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    path = write_film(tmp_path / name, steady(100), gop=25, options=options)
    with noting_frames(lambda decoded: number_of(decoded.frame)) as numbers:
        assert shown(path, [7500]) == [75]
    assert numbers == [75, 76]  # the next, to know that it is later


def test_a_start_within_the_first_seconds_is_exact_too(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.webm", steady(50), gop=5)
    for ms in (0, 50, 1000, int(SEEK_S * 1000), int(SEEK_S * 1000) + 1):
        assert shown(path, [ms]) == [ms // 100]


def test_starting_before_the_first_frame_shows_nothing_yet(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.webm", steady(5, first_ms=4000))
    assert shown(path, (0, 3000, 3999, 4000)) == [None, None, None, 0]


@pytest.mark.parametrize("options", [{"bf": "3"}, {"bf": "0"}])
def test_the_decoder_is_drained_at_the_end(tmp_path: Path, options: dict[str, str]) -> None:
    path = write_film(tmp_path / "film.mp4", steady(20), options=options)
    assert shown(path, (1700, 1800, 1900, 5000)) == [17, 18, 19, 19]


def test_starting_after_the_end_shows_the_last_frame(tmp_path: Path) -> None:
    for name in ("film.webm", "film.mp4"):
        assert shown(write_film(tmp_path / name, steady(60)), (50_000,)) == [59]


def test_changes_of_size_are_followed_frame_by_frame(tmp_path: Path) -> None:
    large, small = Size(64, 48), Size(32, 96)
    path = write_sizes(
        tmp_path / "film.webm", (large, steady(4)), (small, steady(4, first_ms=400)), (large, steady(30, first_ms=800))
    )
    reader = VideoReader(path, 0)
    frames = [reader.frame_at(ms * MS) for ms in steady(12)]
    assert [decoded and decoded.displayed for decoded in frames] == [large] * 4 + [small] * 4 + [large] * 4
    assert [decoded and number_of(decoded.frame) for decoded in frames] == list(range(12))
    assert shown(path, (3500,)) == [35]


@pytest.mark.parametrize("orientation", Orientation)
def test_the_display_matrix_orients_frames(tmp_path: Path, orientation: Orientation) -> None:
    a, b, c, d = (value << 16 for value in orientation.value)
    path = write_film(tmp_path / "film.mp4", (0,), display_matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    decoded = VideoReader(path, 0).frame_at(Fraction(0))
    assert decoded
    assert decoded.orientation is orientation
    assert decoded.displayed == (Size(48, 64) if orientation.swaps_sides else Size(64, 48))


def test_the_matrix_is_guessed_by_size_and_the_range_is_read(tmp_path: Path) -> None:
    small = VideoReader(write_film(tmp_path / "small.mp4", (0,), size=Size(64, 718)), 0).frame_at(Fraction(0))
    large = VideoReader(write_film(tmp_path / "large.mp4", (0,), size=Size(64, 720)), 0).frame_at(Fraction(0))
    full = VideoReader(write_film(tmp_path / "full.mp4", (0,), full_range=True), 0).frame_at(Fraction(0))
    assert small
    assert large
    assert full
    assert (small.matrix, large.matrix) == ("bt601", "bt709")
    assert (small.full_range, full.full_range) == (False, True)


def cut_off(packet: Packet[Any]) -> Packet[Any]:
    """Replace a packet by the start of a VP8 key frame."""
    broken: Packet[Any] = Packet(b"\x00\x00")
    broken.stream, broken.time_base, broken.pts, broken.dts = (
        packet.stream,
        packet.time_base,
        packet.pts,
        packet.dts,
    )
    return broken


def test_corrupt_packets_are_counted_and_the_last_good_frame_stays(tmp_path: Path) -> None:
    def damage(number: int, packet: Packet[Any]) -> Packet[Any]:
        return cut_off(packet) if number in {4, 5} else packet

    path = write_film(tmp_path / "film.webm", steady(10), gop=3, tamper=damage)
    reader = VideoReader(path, 0)
    numbers = [number_of(p.frame) for ms in steady(10) if (p := reader.frame_at(ms * MS))]
    assert reader.corrupt == 2
    assert numbers[:6] == [0, 1, 2, 3, 3, 3]
    assert numbers[6:] == [6, 7, 8, 9]


def test_damage_before_the_start_does_not_count(tmp_path: Path) -> None:
    """After a damaged key frame, frames decode only when the file is read from its start."""

    def damage(number: int, packet: Packet[Any]) -> Packet[Any]:
        return cut_off(packet) if number == 30 else packet

    path = write_film(tmp_path / "film.webm", steady(100), gop=30, tamper=damage)
    whole, late = VideoReader(path, 0), VideoReader(path, 0)
    times = [ms * MS for ms in steady(60, first_ms=4000)]
    whole.frame_at(Fraction(0))
    assert [pixels(late.frame_at(t)) for t in times] == [pixels(whole.frame_at(t)) for t in times]
    assert late.stats_between(times[0], None).damage == whole.stats_between(times[0], None).damage
    whole.close()
    late.close()


def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    data = write_film(
        tmp_path / "whole.webm", steady(60), muxing={"live": "1", "cluster_time_limit": "500"}
    ).read_bytes()
    cut = tmp_path / "cut.webm"
    cut.write_bytes(data[: len(data) * 2 // 3])
    numbers = shown(cut, steady(60))
    last = numbers[-1]
    assert last is not None
    assert 30 < last < 45
    assert numbers == [*range(last), *[last] * (60 - last)]


def test_a_file_is_open_from_the_first_frame_until_it_is_closed(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.webm", steady(5))
    reader = VideoReader(path, 0)
    assert open_files(path) == 0
    reader.frame_at(Fraction(0))
    assert open_files(path) == 1
    reader.close()
    assert open_files(path) == 0


def test_a_failed_seek_leaves_no_second_file_open(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.webm", steady(5, first_ms=8000), muxing={"live": "1"})
    reader = VideoReader(path, 0)
    reader.frame_at(Fraction(7))
    assert open_files(path) == 1
    reader.close()
    assert open_files(path) == 0


def test_closing_a_reader_that_never_read_is_fine(tmp_path: Path) -> None:
    VideoReader(tmp_path / "film.webm", 0).close()


def test_a_missing_file_or_stream_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        VideoReader(tmp_path / "gone.webm", 0).frame_at(Fraction(0))
    path = write_film(tmp_path / "film.webm", (0,))
    with pytest.raises(InputError, match="stream 1"):
        VideoReader(path, 1).frame_at(Fraction(0))
    assert open_files(path) == 0


def test_one_timestamp_far_ahead_of_its_neighbours_is_corrected(tmp_path: Path) -> None:
    frames_ms = (0, 100, 200, 3_600_000, 400, 500)
    path = write_film(tmp_path / "film.webm", frames_ms)
    found = probe(path).video
    assert found
    assert shown(path, range(0, 700, 100), found.sections) == [0, 1, 2, 3, 4, 5, 5]
    assert float(found.span.end) == pytest.approx(0.6)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "gray"])
def test_a_muted_camera_is_detected_in_any_bit_depth(tmp_path: Path, pixel_format: str) -> None:
    black = flat(SMALL, (16, 128, 128)).reformat(format=pixel_format)
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = SMALL.width, SMALL.height, pixel_format
        for number in range(10):
            black.pts, black.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(black))
        container.mux(stream.encode(None))
    reader = VideoReader(tmp_path / "film.mkv", 0)
    decoded = reader.frame_at(Fraction(9, 10))
    reader.close()
    assert decoded
    assert decoded.is_black(Fraction(9, 10))


@pytest.mark.parametrize("gop", [1, 3, 10, 1000])
def test_from_any_start_it_is_known_how_long_video_has_been_black(tmp_path: Path, gop: int) -> None:
    """A camera counts as muted after half a second, wherever key frames are."""
    black = {*range(30, 34), *range(40, 60), *range(80, 86)}

    def draw(number: int, size: Size) -> VideoFrame:
        return flat(size, (16, 128, 128)) if number in black else numbered(number, size)

    path = write_film(tmp_path / "film.mp4", steady(100), gop=gop, draw=draw)
    times = [Fraction(ms, 1000) for ms in range(0, 10_000, 50)]
    whole = VideoReader(path, 0)
    expected = [is_black(whole, t) for t in times]
    whole.close()
    assert [t for t, muted in zip(times, expected, strict=True) if muted] == [
        t for t in times if Fraction(9, 2) <= t < 6 or Fraction(17, 2) <= t < Fraction(86, 10)
    ]
    for t, muted in zip(times, expected, strict=True):
        reader = VideoReader(path, 0)
        assert is_black(reader, t) == muted, f"from {float(t)} s"
        reader.close()


def is_black(reader: VideoReader, t: Fraction) -> bool:
    decoded = reader.frame_at(t)
    assert decoded
    return decoded.is_black(t)
