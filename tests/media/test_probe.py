"""Probing: tracks, times, gaps and flaws of a recording."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream

from owtmix.base.errors import InputError
from owtmix.base.geometry import Orientation, Size
from owtmix.base.time import TimeRange
from owtmix.media.open import open_input, packets
from owtmix.media.probe import probe
from owtmix.media.video_meter import VideoMeter
from owtmix.plan.media_info import VideoTrack
from tests.media.pictures import MS, numbered, steady, write_film, write_sizes
from tests.media.sounds import moments, sweep, write_sound
from tests.support.people import person, record

RATE_HZ: Final = 48_000


def picture(path: Path) -> VideoTrack:
    found = probe(path)
    assert found.video
    return found.video


def span(start_ms: int, end_ms: int) -> TimeRange:
    return TimeRange(start_ms * MS, end_ms * MS)


def write_streams(path: Path, *encoders: str, default: int | None = None) -> Path:
    """One stream of ten frames per encoder, each two rows higher than the one before."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(encoder, rate=10) for encoder in encoders]
        for i, stream in enumerate(streams):
            assert isinstance(stream, VideoStream)
            stream.width, stream.height = 64, 48 + 2 * i
            stream.pix_fmt = "yuvj420p" if stream.codec_context.name == "mjpeg" else "yuv420p"
            if default is not None:
                stream.disposition = Disposition.default if i == default else Disposition(0)
        for number in range(10):
            for stream in streams:
                assert isinstance(stream, VideoStream)
                frame = numbered(number, Size(stream.width, stream.height)).reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 10)
                container.mux(stream.encode(frame))
        for stream in streams:
            assert isinstance(stream, VideoStream)
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["film.mp4", "film.webm", "film.mkv"])
def test_video_lasts_from_its_first_frame_to_the_end_of_its_last(tmp_path: Path, name: str) -> None:
    track = picture(write_film(tmp_path / name, steady(10)))
    assert track.span == span(0, 1000)
    assert track.last_s == Fraction(9, 10)
    assert track.gaps == ()
    assert (track.index, track.size, track.matrix) == (0, Size(64, 48), "bt601")


def test_the_last_frame_without_a_duration_lasts_as_the_median_frame(tmp_path: Path) -> None:
    assert picture(write_film(tmp_path / "film.webm", (0, 40, 80, 120, 900))).span == span(0, 940)


def test_the_only_frame_lasts_by_the_frame_rate(tmp_path: Path) -> None:
    track = picture(write_film(tmp_path / "film.webm", (0,)))
    assert track.last_s == 0
    assert 0 < track.span.end <= Fraction(1, 10)


@pytest.mark.parametrize("name", ["film.mp4", "film.webm"])
def test_timestamps_may_start_anywhere(tmp_path: Path, name: str) -> None:
    track = picture(write_film(tmp_path / name, steady(10, first_ms=60_000)))
    assert (track.span, track.last_s) == (span(60_000, 61_000), Fraction(609, 10))


def test_gaps_are_stretches_of_more_than_a_second_without_a_frame(tmp_path: Path) -> None:
    frames_ms = (0, 100, 1100, 1200, 2201, 2300, 9000, 9100)
    assert picture(write_film(tmp_path / "film.webm", frames_ms)).gaps == (span(1200, 2201), span(2300, 9000))


def test_timestamps_that_repeat_or_go_back_make_no_gaps(tmp_path: Path) -> None:
    track = picture(write_film(tmp_path / "film.webm", (0, 100, 100, 700, 300, 400, 1300)))
    assert track.gaps == ()
    assert track.span.start == 0
    assert track.last_s == Fraction(13, 10)


@pytest.mark.parametrize("muxing", [{"live": "1"}, {"live": "1", "cluster_time_limit": "300"}])
def test_a_file_without_a_duration_is_as_long_as_its_packets(tmp_path: Path, muxing: dict[str, str]) -> None:
    path = write_film(tmp_path / "film.webm", steady(25), muxing=muxing)
    with open_input(path) as container:
        assert container.streams[0].duration is None
    assert picture(path).span == span(0, 2500)


@pytest.mark.parametrize(
    ("name", "muxing"),
    [
        ("film.mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
        ("film.webm", {"live": "1", "cluster_time_limit": "300"}),
    ],
)
def test_a_truncated_file_is_used_as_far_as_it_goes(tmp_path: Path, name: str, muxing: dict[str, str]) -> None:
    data = write_film(tmp_path / f"whole-{name}", steady(40), gop=5, muxing=muxing).read_bytes()
    cut = tmp_path / name
    cut.write_bytes(data[: len(data) // 2])
    track = picture(cut)
    assert track.span.start == 0
    assert 1 < track.last_s < 3


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "3"}])
def test_reordered_frames_start_at_the_first_presentation_time(tmp_path: Path, options: dict[str, str]) -> None:
    assert picture(write_film(tmp_path / "film.mp4", steady(20), options=options)).span == span(0, 2000)


def test_frames_hidden_by_an_edit_list_are_not_presented(tmp_path: Path) -> None:
    """MP4 has no timestamps before 0: an edit list hides such frames."""
    path = write_film(tmp_path / "film.mp4", steady(20, first_ms=-500))
    with open_input(path) as container:
        assert sum(packet.is_discard for packet in container.demux(video=0)) == 5
    track = picture(path)
    assert track.span.start == 0
    assert track.last_s == Fraction(14, 10)


def test_frames_before_the_first_key_frame_are_not_presented(tmp_path: Path) -> None:
    data = write_film(tmp_path / "film.webm", steady(20), gop=8, muxing={"cluster_time_limit": "100"}).read_bytes()
    with open_input(tmp_path / "film.webm") as container:
        first = bytes(next(container.demux(video=0)))
    damaged = tmp_path / "damaged.webm"
    damaged.write_bytes(data.replace(first, bytes(len(first))))
    track = picture(damaged)
    assert track.span == span(800, 2000)


def test_size_is_the_displayed_one_of_the_first_frame(tmp_path: Path) -> None:
    a, b, c, d = (value << 16 for value in Orientation.CLOCKWISE.value)
    turned = write_film(tmp_path / "turned.mp4", steady(3), display_matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    assert picture(turned).size == Size(48, 64)
    changing = write_sizes(tmp_path / "changing.webm", (Size(32, 24), steady(3)), (Size(64, 48), (300, 400)))
    assert picture(changing).size == Size(32, 24)


@pytest.mark.parametrize(("lines", "matrix"), [(48, "bt601"), (720, "bt709")])
def test_the_matrix_of_untagged_video_depends_on_its_size(
    tmp_path: Path, lines: int, matrix: Literal["bt601", "bt709"]
) -> None:
    assert picture(write_film(tmp_path / "film.mp4", steady(2), size=Size(64, lines))).matrix == matrix


def test_video_and_audio_keep_their_offset(tmp_path: Path) -> None:
    take = person(0, 0, 2000, container="webm", picture_from_ms=340, first_pts_ms=60_000)
    record(take, tmp_path / "take.webm")
    found = probe(tmp_path / "take.webm")
    assert found.video
    assert found.sounds
    assert found.video.span.start == Fraction(60_340, 1000)
    assert found.sounds[0].span.start == pytest.approx(60, abs=0.001)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.webm", "libopus"), ("a.wav", "pcm_s16le")])
def test_a_file_without_video_starts_after_the_encoder_s_priming(tmp_path: Path, name: str, codec: str) -> None:
    path = write_sound(tmp_path / name, sweep(moments(2, RATE_HZ))[None], RATE_HZ, codec=codec)
    found = probe(path)
    assert found.video is None
    assert found.sounds
    assert found.sounds[0].span.start == pytest.approx(0, abs=0.001)
    assert float(found.sounds[0].span.end) == pytest.approx(2, abs=0.001)  # not the end of the codec's last frame
    assert (found.sounds[0].rate_hz, found.sounds[0].channels) == (RATE_HZ, 1)


def test_a_file_without_audio_has_no_audio_track(tmp_path: Path) -> None:
    assert not probe(write_film(tmp_path / "film.webm", steady(3))).sounds


def test_the_default_video_track_is_used_else_the_first(tmp_path: Path) -> None:
    first = probe(write_streams(tmp_path / "first.mkv", "libvpx", "libx264"))
    second = probe(write_streams(tmp_path / "second.mkv", "libvpx", "libx264", default=1))
    assert [p.video and (p.video.index, p.video.codec) for p in (first, second)] == [(0, "vp8"), (1, "h264")]


def test_video_of_a_codec_that_is_not_accepted_is_passed_over(tmp_path: Path) -> None:
    found = probe(write_streams(tmp_path / "film.mkv", "mjpeg", "libvpx", default=0))
    assert found.video
    assert (found.video.index, found.video.codec) == (1, "vp8")


@pytest.mark.parametrize("encoder", ["mpeg4", "mjpeg", "ffv1"])
def test_other_codecs_are_refused(tmp_path: Path, encoder: str) -> None:
    path = write_streams(tmp_path / "film.mkv", encoder)
    with pytest.raises(
        InputError, match=rf"^holds no picture or sound of a codec that is accepted \(found {encoder}\)$"
    ):
        probe(path)


def test_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", steady(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(InputError, match=r"of a codec that is accepted \(found unknown\)$"):
        probe(path)


def test_a_codec_has_its_canonical_name(tmp_path: Path) -> None:
    """By its canonical name, not by that of the decoder."""
    film = probe(write_film(tmp_path / "film.mp4", steady(3), encoder="libsvtav1", size=Size(128, 96))).video
    song = probe(write_sound(tmp_path / "a.mkv", sweep(moments(1, RATE_HZ))[None], RATE_HZ, codec="libmp3lame")).sounds[
        0
    ]
    assert film
    assert song
    assert (film.codec, song.codec) == ("av1", "mp3")


def test_cover_art_is_not_video(tmp_path: Path) -> None:
    found = probe(write_cover(tmp_path / "song.mp4"))
    assert found.video is None
    assert found.sounds


def write_cover(path: Path) -> Path:
    """An audio file with cover art."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=RATE_HZ)
        cover = container.add_stream("mjpeg", rate=1)
        assert isinstance(sound, AudioStream)
        assert isinstance(cover, VideoStream)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((2, RATE_HZ), np.float32), "fltp", "stereo")
        frame.sample_rate = RATE_HZ
        container.mux(sound.encode(frame) + sound.encode(None))
        container.mux(cover.encode(numbered(0).reformat(format="yuvj420p")) + cover.encode(None))
    with open_input(path) as container:
        assert container.streams.video[0].disposition & Disposition.attached_pic
    return path


def test_packets_that_hold_nothing_decodable_are_an_input_error(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.webm", steady(5))
    with open_input(path) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for packet in packets:
        data = data.replace(packet, bytes(len(packet)))
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"^holds no picture or sound that can be decoded$"):
        probe(path)


def test_a_day_of_frames_takes_little_memory(tmp_path: Path) -> None:
    """Several workers probe at the same time."""
    with open_input(write_film(tmp_path / "film.webm", steady(3))) as container:
        meter = VideoMeter(container.streams.video[0])
        for packet in packets(container, meter.stream):
            meter.add(packet)
    count = 100_000
    for number in range(count):
        meter.table.add(number, 1000 + 40 * number, number, 1)
    meter._durations.extend([0] * count)
    meter._keys.extend([0] * count)
    tracemalloc.start()
    found = meter.track()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found
    assert found[0].last_s == Fraction(1000 + 40 * (count - 1), 1000)
    assert found[1] == (Fraction(5, 4), Fraction(25), Fraction(25))
    assert peak < 64 * count


@pytest.mark.parametrize("name", ["film.mp4", "film.webm"])
@pytest.mark.parametrize(("gop", "longest_s"), [(20, "2"), (41, "4.1"), (250, "5.9"), (1, "5.9")])
def test_the_longest_time_between_key_frames_is_measured(tmp_path: Path, name: str, gop: int, longest_s: str) -> None:
    """Up to the last frame; where all claim to be key frames, none is believed."""
    video = probe(write_film(tmp_path / name, steady(60), gop=gop, options={"sc_threshold": "0"})).video
    assert video
    assert video.gop_s == Fraction(longest_s)


def test_probing_leaves_nothing_open(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.webm", steady(3))
    found = [probe(path) for _ in range(3)]
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert path not in links
    assert found[0] == found[1] == found[2]


def test_unusable_streams_are_flaws(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mkv", sweep(moments(1, RATE_HZ))[None], RATE_HZ)
    assert not probe(path).flaws
    both = tmp_path / "b.mkv"
    with av.open(str(path)) as source, av.open(str(both), "w") as target:
        kept = target.add_stream_from_template(source.streams.audio[0])
        refused = target.add_stream("flac", rate=RATE_HZ, layout="mono")
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = kept
                target.mux(packet)
        for frame in (av.AudioFrame(format="s16", layout="mono", samples=4096),):
            frame.sample_rate, frame.pts = RATE_HZ, 0
            target.mux(refused.encode(frame))
        target.mux(refused.encode(None))
    assert probe(both).flaws == ("its sound in stream 1 is of a codec that is not accepted (flac)",)
