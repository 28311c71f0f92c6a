"""Written tracks: timestamps, key frames, rate control, and reproducible bytes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame

from owtmix.base.errors import DestinationError, RenderError, ShortageError
from owtmix.base.geometry import Size
from owtmix.compositor.cpu import planes
from owtmix.jobfile.spec import AudioSpec, VideoSpec
from owtmix.media.writers import AudioWriter, VideoWriter, encoding_errors
from owtmix.plan import encoders
from owtmix.plan.media_info import Matrix
from owtmix.plan.model import AudioEncoding, VideoEncoding
from tests.media.pictures import camera, flat, number_of, numbered, textured
from tests.media.sounds import moments, sweep

SIZE: Final = Size(160, 96)
FPS: Final = 15
GOP: Final = 30
RATE_HZ: Final = 48_000

JOINT_STEP_DB: Final = 2.0
"""Less than is visible from one frame to the next."""

Profile = Literal["baseline", "main", "high"]
Drawn = Callable[[int], VideoFrame]


def h264(*, fps: int = FPS, kbps: int = 300, profile: Profile = "high", preset: str = "balanced") -> VideoEncoding:
    return encoders.h264(VideoSpec(SIZE, fps, kbps, profile), preset)


def vp9(*, fps: int = FPS, kbps: int = 300) -> VideoEncoding:
    return encoders.vp9(VideoSpec(SIZE, fps, kbps, "high"), 8)


ENCODINGS: Final = {"libx264": h264, "libvpx-vp9": vp9}


def write_picture(
    path: Path,
    frames: int,
    how: VideoEncoding,
    *,
    draw: Drawn = lambda number: numbered(number % 256, SIZE),
    fps: int = FPS,
    matrix: Matrix = "bt709",
) -> Path:
    writer = VideoWriter(path, SIZE, fps, matrix, how)
    for number in range(frames):
        writer.write(draw(number), number)
    writer.close()
    return path


def write_sound(
    path: Path, sound: np.ndarray[Any, np.dtype[np.float32]], how: AudioEncoding, block: int = 24_000
) -> Path:
    writer = AudioWriter(path, how)
    for first in range(0, sound.shape[1], block):
        writer.write(sound[:, first : first + block])
    writer.close()
    return path


def packets_of(path: Path) -> list[Packet[Any]]:
    with av.open(str(path)) as container:
        return [packet for packet in container.demux() if packet.size]


def decoded(path: Path) -> list[bytes]:
    """The pixels of every frame."""
    with av.open(str(path)) as container:
        return [b"".join(p.tobytes() for p in planes(frame)) for frame in container.decode(video=0)]


def restless(number: int) -> VideoFrame:
    """Frames that are hard for rate control: stills, then unpredictable noise, with cuts."""
    return textured(SIZE, number) if number // 20 % 2 else numbered(number // 20, SIZE)


@pytest.mark.parametrize("encoder", ENCODINGS)
@pytest.mark.parametrize("fps", [1, 7, 15, 30, 60])
def test_the_frame_rate_is_constant_to_the_tick(tmp_path: Path, encoder: str, fps: int) -> None:
    path = write_picture(tmp_path / "track.mp4", 31, ENCODINGS[encoder](fps=fps), fps=fps)
    found = packets_of(path)
    assert [(packet.pts or 0) * packet.time_base for packet in found] == [Fraction(i, fps) for i in range(31)]
    assert {(packet.duration or 0) * packet.time_base for packet in found} == {Fraction(1, fps)}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == stream.guessed_rate == fps
        assert [number_of(frame) for frame in container.decode(stream)] == list(range(31))


@pytest.mark.parametrize("draw", [lambda number: numbered(number % 256, SIZE), restless], ids=["steady", "restless"])
def test_h264_has_a_key_frame_every_two_seconds_and_none_at_scene_changes(tmp_path: Path, draw: Drawn) -> None:
    found = packets_of(write_picture(tmp_path / "track.mp4", 100, h264(), draw=draw))
    assert [i for i, packet in enumerate(found) if packet.is_keyframe] == [0, 30, 60, 90]


def test_vp9_has_a_key_frame_every_two_seconds_at_least(tmp_path: Path) -> None:
    found = packets_of(write_picture(tmp_path / "track.mp4", 100, vp9(), draw=restless))
    assert {0, 30, 60, 90} <= {i for i, packet in enumerate(found) if packet.is_keyframe}


@pytest.mark.parametrize("encoder", ENCODINGS)
def test_every_group_of_pictures_can_be_decoded_alone(tmp_path: Path, encoder: str) -> None:
    path = write_picture(tmp_path / "track.mp4", 75, ENCODINGS[encoder](), draw=restless)
    whole = decoded(path)
    assert len(whole) == 75
    for first in (30, 60):
        with av.open(str(path)) as container:
            frames: list[VideoFrame] = []
            for packet in list(container.demux(video=0))[first:]:
                frames += packet.decode()
        assert [b"".join(p.tobytes() for p in planes(frame)) for frame in frames] == whole[first:]


@pytest.mark.parametrize("preset", ["fast", "balanced", "quality"])
@pytest.mark.parametrize(
    ("profile", "names"), [("baseline", {"Constrained Baseline", "Baseline"}), ("main", {"Main"}), ("high", {"High"})]
)
def test_the_profile_is_the_one_that_was_asked_for(
    tmp_path: Path, profile: Profile, names: set[str], preset: str
) -> None:
    path = write_picture(tmp_path / "track.mp4", 40, h264(profile=profile, preset=preset), draw=restless)
    with av.open(str(path)) as container:
        assert container.streams.video[0].profile in names
        assert {PictureType(frame.pict_type).name for frame in container.decode(video=0)} == {"I", "P"}


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_a_draft_uses_nothing_that_another_profile_has(tmp_path: Path, profile: Profile) -> None:
    path = write_picture(tmp_path / "track.mp4", 3, h264(profile=profile, preset="draft"), draw=restless)
    with av.open(str(path)) as container:
        assert container.streams.video[0].profile == "Constrained Baseline"


@pytest.mark.parametrize("encoder", ENCODINGS)
@pytest.mark.parametrize(("matrix", "tags"), [("bt709", (1, 1, 1)), ("bt601", (6, 6, 6))])
def test_the_colour_is_tagged(tmp_path: Path, encoder: str, matrix: Matrix, tags: tuple[int, int, int]) -> None:
    path = write_picture(tmp_path / "track.mp4", 3, ENCODINGS[encoder](), matrix=matrix)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_range, context.colorspace) == (1, tags[0])
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range, frame.format.name) == (tags[0], 1, "yuv420p")


def test_a_frame_may_be_drawn_on_as_soon_as_it_was_written(tmp_path: Path) -> None:
    frame = numbered(0, SIZE)

    def redrawn(number: int) -> VideoFrame:
        for mine, its in zip(planes(frame), planes(numbered(number, SIZE)), strict=True):
            mine[:] = its
        return frame

    again = write_picture(tmp_path / "again.mp4", 40, h264(), draw=redrawn)
    fresh = write_picture(tmp_path / "fresh.mp4", 40, h264())
    assert again.read_bytes() == fresh.read_bytes()


@pytest.mark.parametrize("encoder", ENCODINGS)
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, encoder: str) -> None:
    """Whatever the encoder's memory held before, such as frames of earlier runs."""
    how = ENCODINGS[encoder](kbps=100)
    written = set()
    for _ in range(20 if encoder == "libx264" else 4):
        kept = [restless(number) for number in range(60)]
        written.add(write_picture(tmp_path / "track.mp4", 60, how, draw=kept.__getitem__).read_bytes())
    assert len(written) == 1


def test_x264_is_told_to_be_independent_of_the_processor() -> None:
    """The test above may miss it by chance."""
    assert "cpu-independent=1" in dict(h264().options)["x264-params"].split(":")


@pytest.mark.parametrize("how", [AudioEncoding("aac", 128, 2), AudioEncoding("libopus", 96, 1)], ids=str)
def test_the_same_sound_gives_the_same_bytes(tmp_path: Path, how: AudioEncoding) -> None:
    sound = np.repeat(sweep(moments(3, RATE_HZ))[None], 2, axis=0)
    written = {write_sound(tmp_path / f"{n}.mp4", sound, how).read_bytes() for n in range(3)}
    assert len(written) == 1


@pytest.mark.parametrize("kbps", [60, 200, 600])
@pytest.mark.parametrize("profile", ["baseline", "high"])
def test_the_vbv_is_never_exceeded(tmp_path: Path, kbps: int, profile: Profile) -> None:
    """A decoder's buffer of 2 s, filled at 1.5 times the rate, never underflows."""
    path = write_picture(tmp_path / "track.mp4", 300, h264(kbps=kbps, profile=profile), draw=restless)
    bits = [8 * packet.size for packet in packets_of(path)]
    assert lowest_level(bits, 1500 * kbps / FPS, 2000 * kbps) >= 0


@pytest.mark.parametrize("kbps", [60, 200])
def test_the_vbv_is_not_exceeded_across_chunks(tmp_path: Path, kbps: int) -> None:
    """A chunk uses two thirds of the buffer, and assumes half of these to be full at its start.

    So the end of a chunk and the start of the next stay within the whole buffer, even in the worst case.
    """
    path = write_picture(tmp_path / "track.mp4", 150, h264(kbps=kbps), draw=lambda number: textured(SIZE, number))
    bits = [8 * packet.size for packet in packets_of(path)]
    part = 2000 * kbps / 1.5
    assert lowest_level(bits, 1500 * kbps / FPS, part, 0.5) >= 0
    assert lowest_level([*bits, *bits], 1500 * kbps / FPS, 2000 * kbps) >= 0


@pytest.mark.slow
def test_quality_does_not_step_where_chunks_are_joined(tmp_path: Path) -> None:
    """The first second of a chunk against the last of the one before: rate control restarts there."""

    def quality(track: Path, first: int) -> list[float]:
        pairs = zip(decoded_luma(track), (planes(camera(first + i, SIZE))[0] for i in range(30 * FPS)), strict=True)
        return [psnr_db(made, meant) for made, meant in pairs]

    parts = [
        quality(
            write_picture(tmp_path / f"{first}.mp4", 30 * FPS, h264(kbps=150), draw=lambda i: camera(first + i, SIZE)),  # noqa: B023 - at once
            first,
        )
        for first in (0, 30 * FPS)
    ]
    before, after = np.mean(parts[0][-FPS:]), np.mean(parts[1][:FPS])
    assert abs(before - after) < JOINT_STEP_DB


def decoded_luma(track: Path) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    with av.open(str(track)) as container:
        return [planes(frame)[0].copy() for frame in container.decode(video=0)]


def psnr_db(a: np.ndarray[Any, np.dtype[np.uint8]], b: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def lowest_level(bits: Sequence[int], filled: float, buffer: float, share: float = 0.9) -> float:
    """The lowest level of a decoder's buffer that starts with ``share`` of it full, in bits."""
    level, lowest = share * buffer, buffer
    for taken in bits:
        level -= taken
        lowest = min(lowest, level)
        level = min(buffer, level + filled)
    return lowest


@pytest.mark.slow
@pytest.mark.parametrize("kbps", [150, 300])
def test_a_minute_of_a_steady_camera_has_the_mean_rate(tmp_path: Path, kbps: int) -> None:
    frames = 60 * FPS
    path = write_picture(tmp_path / "track.mp4", frames, h264(kbps=kbps), draw=lambda number: camera(number, SIZE))
    found = packets_of(path)
    assert len(found) == frames
    assert sum(8 * packet.size for packet in found) / 60_000 == pytest.approx(kbps, rel=0.05)


def test_a_still_slide_stays_below_the_rate(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "track.mp4", 150, h264(kbps=300), draw=lambda _: flat(SIZE, (180, 120, 130)))
    assert sum(8 * packet.size for packet in packets_of(path)) / 10_000 < 30


@pytest.mark.parametrize(
    "how", [AudioEncoding("aac", 128, 2), AudioEncoding("aac", 64, 1), AudioEncoding("libopus", 96, 2)], ids=str
)
@pytest.mark.parametrize("block", [24_000, 1000, 1])
def test_sound_is_as_long_as_what_was_written_and_does_not_depend_on_its_blocks(
    tmp_path: Path, how: AudioEncoding, block: int
) -> None:
    count = 3000 if block == 1 else 100_000
    sound = np.repeat(sweep(moments(count / RATE_HZ, RATE_HZ))[None], 2, axis=0)
    path = write_sound(tmp_path / "track.mp4", sound, how, block)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.channels) == (RATE_HZ, how.channels)
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(stream)], axis=1)
    assert 0 <= heard.shape[1] - count < 1024
    reference = write_sound(tmp_path / "reference.mp4", sound, how, count)
    assert [bytes(a) for a in packets_of(path)] == [bytes(b) for b in packets_of(reference)]


def test_a_mono_output_is_the_mean_of_both_channels(tmp_path: Path) -> None:
    left = sweep(moments(1, RATE_HZ))
    both = write_sound(tmp_path / "both.mp4", np.stack((left, left)), AudioEncoding("aac", 64, 1))
    half = write_sound(tmp_path / "half.mp4", np.stack((2 * left, 0 * left)), AudioEncoding("aac", 64, 1))
    assert both.read_bytes() == half.read_bytes()


def test_rates_are_those_that_were_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = (0.2 * rng.standard_normal((2, 10 * RATE_HZ))).astype(np.float32)
    for how in (encoders.sound(AudioSpec("aac", 2, 128)), encoders.sound(AudioSpec("opus", 2, 96))):
        size = sum(packet.size for packet in packets_of(write_sound(tmp_path / "track.mp4", noise, how)))
        assert size * 8 / 10_000 == pytest.approx(how.bit_rate_kbps, rel=0.12)


def test_settings_that_an_encoder_refuses_are_a_render_error(tmp_path: Path) -> None:
    how = encoders.h264(VideoSpec(SIZE, FPS, 300, "high"), "no-such-preset")
    with pytest.raises(RenderError, match="the output cannot be encoded"):
        write_picture(tmp_path / "track.mp4", 2, how)


def test_a_missing_folder_is_a_destination_error(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match=r"track\.mp4 cannot be used: No such file or directory: was its folder"):
        write_picture(tmp_path / "gone" / "track.mp4", 2, h264())


def test_a_limit_of_the_length_of_files_is_no_full_disk(tmp_path: Path) -> None:
    with (
        pytest.raises(ShortageError, match=r"longer than its disk takes|raise the limit \(ulimit -f\)"),
        encoding_errors(tmp_path / "track.mp4"),
    ):
        raise OSError(errno.EFBIG, "File too large")
