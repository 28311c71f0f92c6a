"""Tracks are joined with their times and packets unchanged; a file that is not as planned is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.colour import Colour
from owtmix.base.errors import DestinationError, RenderError
from owtmix.base.time import FrameClock
from owtmix.compositor.cpu import planes
from owtmix.outputs.base import FinishedTracks
from owtmix.outputs.mux import PROGRAM, ChunkTrack, join_tracks
from owtmix.outputs.registry import OUTPUTS
from owtmix.outputs.verify import verify
from owtmix.plan.jumps import Jump
from owtmix.plan.model import AudioEncoding, PicturePlan, RenderPlan, SoundPlan, VideoEncoding
from tests.media.pictures import flat, numbered
from tests.media.test_writers import ENCODINGS, FPS, RATE_HZ, SIZE, h264, packets_of, write_picture, write_sound

Container = Literal["mp4", "webm"]

CLICKS_AT: Final = (12, 31, 64)
"""Frames that flash; a click begins with each."""

SOUND_TOLERANCE_S: Final = 0.001

CODECS: Final[Mapping[Container, tuple[str, AudioEncoding]]] = {
    "mp4": ("libx264", AudioEncoding("aac", 128, 2)),
    "webm": ("libvpx-vp9", AudioEncoding("libopus", 128, 2)),
}


def picture_plan(frames: int, how: VideoEncoding) -> PicturePlan:
    return PicturePlan(
        canvas=SIZE,
        clock=FrameClock(FPS),
        frames=frames,
        background=Colour(0, 0, 0),
        matrix="bt709",
        scenes=(),
        shots={},
        text_px=8,
        encoding=how,
        chunks=(range(frames),),
    )


def clicks(samples: int) -> NDArray[np.float32]:
    """Silence, and a burst of a millisecond at each of ``CLICKS_AT``."""
    sound = np.zeros((2, samples), np.float32)
    for frame in CLICKS_AT:
        first = frame * RATE_HZ // FPS
        sound[:, first : first + RATE_HZ // 1000] = 0.8
    return sound


def flashing(number: int) -> VideoFrame:
    return flat(SIZE, (230 if number in CLICKS_AT else 20, 128, 128))


class Room:
    """A picture of 75 frames and its sound, as tracks, as a plan, and as a finished file."""

    def __init__(self, folder: Path, container: Container, frames: int = 75) -> None:
        encoder, sound = CODECS[container]
        how = ENCODINGS[encoder]()
        self.frames, self.samples = frames, frames * RATE_HZ // FPS
        self.tracks = (
            write_picture(folder / "picture.mp4", frames, how, draw=flashing),
            write_sound(folder / "sound.mp4", clicks(self.samples), sound),
        )
        self.picture, self.sound = picture_plan(frames, how), SoundPlan(self.samples, (), sound)
        self.output = folder / f"out.{container}"
        self.chunks = [ChunkTrack(self.tracks[0], range(frames), FPS)]
        join_tracks(self.chunks, self.tracks[1], self.output, container)

    def verify(self) -> None:
        verify(self.output, self.picture, self.sound)


def heard(path: Path) -> tuple[NDArray[np.float32], Fraction]:
    """The samples of a file's sound, one row per channel, and when the first is presented."""
    with av.open(str(path)) as container:
        frames: list[AudioFrame] = list(container.decode(audio=0))
    assert frames[0].pts is not None
    assert frames[0].time_base is not None
    samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    if not frames[0].format.is_planar:
        samples = samples.reshape(-1, len(frames[0].layout.channels)).T
    return samples.astype(np.float32, copy=False), frames[0].pts * frames[0].time_base


@pytest.mark.parametrize("container", CODECS)
def test_a_flash_and_its_click_stay_together(tmp_path: Path, container: Container) -> None:
    room = Room(tmp_path, container)
    with av.open(str(room.output)) as file:
        flashes = [
            (frame.pts or 0) * (frame.time_base or 0) for frame in file.decode(video=0) if planes(frame)[0].mean() > 120
        ]
    assert [round(t * FPS) for t in flashes] == list(CLICKS_AT)
    assert all(abs(t - Fraction(frame, FPS)) <= Fraction(1, 1000) for t, frame in zip(flashes, CLICKS_AT, strict=True))
    samples, start = heard(room.output)
    for frame in CLICKS_AT:
        near = round((Fraction(frame, FPS) - start) * RATE_HZ) - RATE_HZ // 20
        burst = np.abs(samples[0, near : near + RATE_HZ // 10])
        middle = float(np.average(np.arange(len(burst)), weights=burst**2)) - RATE_HZ / 20
        assert abs(middle / RATE_HZ - 0.0005) <= SOUND_TOLERANCE_S


@pytest.mark.parametrize("container", CODECS)
def test_the_sound_is_as_long_as_planned(tmp_path: Path, container: Container) -> None:
    room = Room(tmp_path, container)
    samples, start = heard(room.output)
    assert abs(start) <= Fraction(1, 1000)
    assert -48 <= samples.shape[1] - room.samples < 1024


def test_frames_of_an_mp4_are_at_their_times_to_the_tick(tmp_path: Path) -> None:
    room = Room(tmp_path, "mp4")
    with av.open(str(room.output)) as container:
        stream = container.streams.video[0]
        times = [(p.pts or 0) * p.time_base for p in container.demux(stream) if p.size]
        assert times == [Fraction(i, FPS) for i in range(room.frames)]
        assert stream.average_rate == FPS
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(room.frames, FPS)


@pytest.mark.parametrize("container", CODECS)
def test_chunks_are_joined_without_a_gap(tmp_path: Path, container: Container) -> None:
    encoder, sound = CODECS[container]
    how = ENCODINGS[encoder]()
    parts = (range(30), range(30, 60), range(60, 75))
    chunks = [
        ChunkTrack(
            write_picture(tmp_path / f"{part.start}.mp4", len(part), how, draw=lambda i: flashing(part.start + i)),  # noqa: B023 - drawn at once
            part,
            FPS,
        )
        for part in parts
    ]
    output = tmp_path / f"out.{container}"
    heard_at = write_sound(tmp_path / "sound.mp4", clicks(75 * RATE_HZ // FPS), sound)
    join_tracks(chunks, heard_at, output, container)
    verify(output, picture_plan(75, how), SoundPlan(75 * RATE_HZ // FPS, (), sound))
    with av.open(str(output)) as file:
        joined = [bytes(p) for p in file.demux(file.streams.video[0]) if p.size]
    assert joined == [bytes(packet) for chunk in chunks for packet in packets_of(chunk.path)]
    with av.open(str(output)) as file:
        lit = [i for i, frame in enumerate(file.decode(video=0)) if planes(frame)[0].mean() > 120]
    assert lit == list(CLICKS_AT)


def plan_of(container: Container, picture: PicturePlan | None, sound: SoundPlan | None) -> RenderPlan:
    return RenderPlan(
        job_id="room-1",
        output_key=f"out.{container}",
        container=container,
        duration_s=Fraction(5),
        sources=(),
        picture=picture,
        sound=sound,
        presence={},
        jumps=(),
        index_unit="milliseconds",
        time_zone="UTC",
        absent=(),
        left_out=(),
        warnings=(),
    )


@pytest.mark.parametrize("container", CODECS)
def test_every_kind_of_output_is_written_from_finished_tracks_and_read_back(
    tmp_path: Path, container: Container
) -> None:
    encoder, sound_encoding = CODECS[container]
    how, samples = ENCODINGS[encoder](), 75 * RATE_HZ // FPS
    parts = range(30), range(30, 75)
    chunks = tuple(write_picture(tmp_path / f"{part.start}.mp4", len(part), how, draw=flashing) for part in parts)
    sound = write_sound(tmp_path / "sound.mp4", clicks(samples), sound_encoding)
    picture = replace(picture_plan(75, how), chunks=parts)
    plan = plan_of(container, picture, SoundPlan(samples, (), sound_encoding))
    tracks = FinishedTracks(chunks, sound)
    assert tracks.size_bytes == sum(path.stat().st_size for path in (*chunks, sound))
    output = OUTPUTS[container](tmp_path / f"out.{container}")
    output.path.touch()
    output.write(plan, tracks)
    output.verify(plan)
    expected = tmp_path / f"expected.{container}"
    placed = [ChunkTrack(path, part, FPS) for path, part in zip(chunks, parts, strict=True)]
    tags = {"title": plan.title, "encoding_tool": PROGRAM, "encoded_by": PROGRAM}
    join_tracks(placed, sound, expected, container, tags)
    assert output.path.read_bytes() == expected.read_bytes()
    with pytest.raises(RenderError, match=f"{output.name} holds 75 frames, 76 were planned"):
        output.verify(replace(plan, picture=replace(picture, frames=76)))


@pytest.mark.parametrize("container", CODECS)
def test_an_output_may_have_one_track_alone(tmp_path: Path, container: Container) -> None:
    room = Room(tmp_path, container)
    output = OUTPUTS[container](tmp_path / f"alone.{container}")
    output.path.touch()
    for picture, sound in ((room.picture, None), (None, room.sound)):
        plan = plan_of(container, picture, sound)
        output.write(plan, FinishedTracks((room.tracks[0],) if picture else (), room.tracks[1] if sound else None))
        output.verify(plan)


def test_an_output_that_was_replaced_by_a_link_is_not_written(tmp_path: Path) -> None:
    room = Room(tmp_path, "mp4")
    other = tmp_path / "other.mp4"
    other.write_bytes(b"of somebody else")
    output = OUTPUTS["mp4"](tmp_path / "replaced.mp4")
    with pytest.raises(DestinationError, match="cannot be used: No such file or directory: was it or its folder rem"):
        output.write(plan_of("mp4", room.picture, None), FinishedTracks((room.tracks[0],), None))
    output.path.symlink_to(other)
    plan = plan_of("mp4", room.picture, None)
    with pytest.raises(DestinationError, match=r"replaced\.mp4 was replaced by a link meanwhile, which is not f"):
        output.write(plan, FinishedTracks((room.tracks[0],), None))
    with pytest.raises(DestinationError, match=r"replaced\.mp4 was replaced by a link meanwhile, which is not f"):
        output.verify(plan)
    assert other.read_bytes() == b"of somebody else"


def test_chunks_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    chunks = [
        ChunkTrack(write_picture(tmp_path / "0.mp4", 30, h264(), draw=flashing), range(30), FPS),
        ChunkTrack(write_picture(tmp_path / "1.mp4", 30, h264(profile="baseline"), draw=flashing), range(30, 60), FPS),
    ]
    with pytest.raises(RenderError, match="different parameters"):
        join_tracks(chunks, None, tmp_path / "out.mp4", "mp4")
    short = replace(chunks[0], frames=range(31))
    with pytest.raises(RenderError, match="a chunk of the picture holds 30 frames, 31 were planned"):
        join_tracks([short], None, tmp_path / "out.mp4", "mp4")


@pytest.mark.parametrize("container", CODECS)
def test_packets_are_not_encoded_again(tmp_path: Path, container: Container) -> None:
    room = Room(tmp_path, container)
    for index, track in enumerate(room.tracks):
        with av.open(str(room.output)) as file:
            joined = [bytes(p) for p in file.demux(file.streams[index]) if p.size]
        assert joined == [bytes(p) for p in packets_of(track)]


@pytest.mark.parametrize("container", CODECS)
def test_packets_lie_in_the_order_of_their_times(tmp_path: Path, container: Container) -> None:
    """A player that reads from a network must not have to seek."""
    room = Room(tmp_path, container)
    with av.open(str(room.output)) as file:
        found = [(p.pos, (p.dts or 0) * p.time_base) for p in file.demux() if p.size]
    times = [t for _, t in sorted(found)]
    assert all(later >= earlier - 1 for earlier, later in pairwise(times))


def boxes(path: Path) -> list[str]:
    data, kinds, at = path.read_bytes(), [], 0
    while at < len(data):
        kinds.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4])
    return kinds


def test_the_index_of_an_mp4_comes_first(tmp_path: Path) -> None:
    assert [kind for kind in boxes(Room(tmp_path, "mp4").output) if kind != "free"] == ["ftyp", "moov", "mdat"]


@pytest.mark.parametrize("container", CODECS)
def test_colour_tags_are_kept(tmp_path: Path, container: Container) -> None:
    with av.open(str(Room(tmp_path, container).output)) as file:
        context = file.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)


@pytest.mark.parametrize("container", CODECS)
def test_the_same_tracks_give_the_same_bytes(tmp_path: Path, container: Container) -> None:
    room = Room(tmp_path, container)
    again = tmp_path / f"again.{container}"
    join_tracks(room.chunks, room.tracks[1], again, container)
    assert again.read_bytes() == room.output.read_bytes()
    assert str(tmp_path).encode() not in room.output.read_bytes()


@pytest.mark.parametrize("container", CODECS)
def test_one_track_alone_makes_a_file(tmp_path: Path, container: Container) -> None:
    room = Room(tmp_path, container)
    alone = tmp_path / f"alone.{container}"
    join_tracks(room.chunks, None, alone, container)
    verify(alone, room.picture, None)
    join_tracks([], room.tracks[1], alone, container)
    verify(alone, None, room.sound)


def test_a_track_that_is_damaged_is_a_render_error_and_one_that_is_gone_the_disk_s(tmp_path: Path) -> None:
    room = Room(tmp_path, "mp4")
    room.tracks[1].write_bytes(room.tracks[1].read_bytes()[:100])
    with pytest.raises(RenderError):
        join_tracks(room.chunks, room.tracks[1], tmp_path / "again.mp4", "mp4")
    room.tracks[1].unlink()
    with pytest.raises(DestinationError, match="cannot be used: No such file or directory"):
        join_tracks(room.chunks, room.tracks[1], tmp_path / "again.mp4", "mp4")


@pytest.mark.parametrize("container", CODECS)
@pytest.mark.parametrize("frames", [1, 29, 30, 31, 75, 90])
def test_a_file_as_it_was_planned_is_accepted(tmp_path: Path, container: Container, frames: int) -> None:
    Room(tmp_path, container, frames).verify()


@pytest.mark.parametrize("container", CODECS)
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, container: Container, kept: float) -> None:
    room = Room(tmp_path, container)
    data = room.output.read_bytes()
    room.output.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(RenderError, match="the finished file"):
        room.verify()


@pytest.mark.parametrize("container", CODECS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 76}, "the finished file holds 75 frames, 76 were planned"),
        ({"frames": 74}, "the finished file holds 75 frames, 74 were planned"),
        ({"clock": FrameClock(14)}, "not at their times"),
        ({"encoding": replace(h264(), gop=7)}, "lacks key frames that were planned"),
    ],
)
def test_a_picture_that_is_not_as_planned_is_refused(
    tmp_path: Path, container: Container, wrong: dict[str, Any], message: str
) -> None:
    room = Room(tmp_path, container)
    planned = replace(room.picture, **wrong)
    with pytest.raises(RenderError, match=message):
        verify(room.output, planned, room.sound)


@pytest.mark.parametrize("container", CODECS)
def test_a_sound_that_is_too_short_or_too_long_is_refused(tmp_path: Path, container: Container) -> None:
    room = Room(tmp_path, container)
    for samples in (room.samples - 3000, room.samples + 3000):
        with pytest.raises(RenderError, match="the sound of the finished file ends at"):
            verify(room.output, room.picture, replace(room.sound, samples=samples))


@pytest.mark.parametrize("container", CODECS)
@pytest.mark.parametrize("lost", [range(4), range(20, 22)], ids=["first", "middle"])
def test_a_sound_with_a_hole_is_refused(tmp_path: Path, container: Container, lost: range) -> None:
    room = Room(tmp_path, container)
    holed = tmp_path / f"holed.{container}"
    with av.open(str(room.output)) as source, av.open(str(holed), "w", format=container) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        heard = 0
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                heard += 1
                if heard - 1 in lost:
                    continue
            packet.stream = streams[packet.stream_index]
            target.mux(packet)
    verify(room.output, room.picture, room.sound)
    with pytest.raises(RenderError, match="the sound of the finished file has a hole"):
        verify(holed, None, room.sound)


@pytest.mark.parametrize("container", CODECS)
def test_a_missing_track_is_refused(tmp_path: Path, container: Container) -> None:
    room = Room(tmp_path, container)
    alone = tmp_path / f"alone.{container}"
    join_tracks(room.chunks, None, alone, container)
    with pytest.raises(RenderError, match="has no sound"):
        verify(alone, room.picture, room.sound)
    join_tracks([], room.tracks[1], alone, container)
    with pytest.raises(RenderError, match="has no picture"):
        verify(alone, room.picture, room.sound)


@pytest.mark.parametrize("intact", [5, 200])
@pytest.mark.parametrize("group", [0, 2])
def test_a_damaged_first_or_last_group_of_pictures_is_refused(tmp_path: Path, group: int, intact: int) -> None:
    path = write_picture(tmp_path / "track.mp4", 75, h264(), draw=lambda number: numbered(number, SIZE))
    output = tmp_path / "out.mp4"
    join_tracks([ChunkTrack(path, range(75), FPS)], None, output, "mp4")
    data = bytearray(output.read_bytes())
    packet = bytes(packets_of(output)[30 * group + 3])
    at = data.index(packet)
    data[at + intact : at + len(packet)] = bytes(len(packet) - intact)
    output.write_bytes(data)
    with pytest.raises(RenderError, match=r"can be decoded|cannot be read back"):
        verify(output, picture_plan(75, h264()), None)


@pytest.mark.parametrize("container", CODECS)
def test_the_file_says_what_it_is_and_when_the_room_was(tmp_path: Path, container: Container) -> None:
    how = ENCODINGS[CODECS[container][0]]()
    chunk = write_picture(tmp_path / "chunk.mp4", 30, how, draw=flashing)
    picture = replace(picture_plan(30, how), chunks=(range(30),))
    begun = Fraction("1795327385.25")
    plan = replace(plan_of(container, picture, None), title="Zoë's room", index_unit="epoch-milliseconds")
    plan = replace(plan, jumps=(Jump(Fraction(0), begun),))
    output = OUTPUTS[container](tmp_path / f"out.{container}")
    output.path.touch()
    output.write(plan, FinishedTracks((chunk,), None))
    with av.open(str(output.path)) as file:
        tags = {name.lower(): value for name, value in file.metadata.items()}
    assert tags["title"] == "Zoë's room"
    assert tags["creation_time"].startswith("2026-11-22T06:03:05")
    assert PROGRAM in {tags.get("encoder"), tags.get("encoded_by")}
