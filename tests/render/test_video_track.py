"""A track is made by several threads; when one fails, all of them stop at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Final

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame

from owtmix.base.errors import Interrupted, RenderError
from owtmix.base.time import TimeRange
from owtmix.compositor.cpu import planes
from owtmix.compositor.gpu.device import DeviceError
from owtmix.media.audio_resample import Samples
from owtmix.media.writers import VideoWriter
from owtmix.plan.device import RenderDevice
from owtmix.plan.media_info import AudioTrack, DecodeStats
from owtmix.plan.model import AudioEncoding, AudioPlacement, RenderPlan, SoundPlan
from owtmix.produce.tasks import ChunkTask, RenderSetup, StillTask, SuspectTask
from owtmix.render.audio_source import AudioSource
from owtmix.render.audio_track import make_audio_track
from owtmix.render.callbacks import Advance, ignore_advance
from owtmix.render.context import RenderContext
from owtmix.render.results import RenderResult
from owtmix.render.still import draw_still
from owtmix.render.video_track import MAKER_CACHE, WAITING_FRAMES, MakerCache, VideoTrackMaker
from tests.media.pictures import Plane, flat, number_of, numbered, steady, write_film
from tests.render.rooms import ANNA, BEN, CANVAS, FPS, busy_room, context_of, plan_of, render
from tests.render.watched import watched, watched_writer
from tests.support.card.lazy_device import LazyDevice
from tests.support.plans import picture, room, seen, sound, take
from tests.support.sources import MemoryAudio, MemorySources, file_sources, source_files

pytestmark = pytest.mark.timeout(30)
"""A test that hangs fails."""

FRAMES: Final = 200
ENDING_S: Final = 10
SOON: Final = 20
"""Number of frames, of hundreds, that may be composed before a failure is noticed."""


class FailingGpu(LazyDevice):
    """A GPU that could decode, too."""

    def hardware(self) -> HWAccel:
        raise DeviceError("lazy:0 is lost")

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> Plane:
        raise NotImplementedError


@pytest.fixture
def context(tmp_path: Path) -> RenderContext:
    """Twenty seconds of two people."""
    return context_of([(who, 0, write_film(tmp_path / f"{who}.webm", steady(FRAMES))) for who in (ANNA, BEN)])


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """No thread outlives a test; one that a signal caught while it was being started ends by itself."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(ENDING_S)
    assert set(threading.enumerate()) <= before


def make(
    context: RenderContext, folder: Path, frames: range = range(FRAMES), advance: Advance = ignore_advance
) -> Path:
    track = folder / "picture.mp4"
    maker = VideoTrackMaker(context, threads=2)
    try:
        maker.make(frames, track, advance)
    finally:
        maker.close()
    return track


def numbers(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [(packet.pts or 0) * packet.time_base for packet in container.demux() if packet.size]


def test_a_track_holds_the_frames_of_its_part_from_0_on(tmp_path: Path, context: RenderContext) -> None:
    done: list[Fraction] = []
    track = make(context, tmp_path, range(40, 75), done.append)
    assert numbers(track) == [Fraction(i, 10) for i in range(35)]
    assert done == [Fraction(i, 10) for i in range(1, 36)]


def test_what_is_encoded_is_what_is_composed(tmp_path: Path) -> None:
    """Frames are reused: none is drawn on before the encoder has read it."""
    context = busy_room(tmp_path)
    read: list[bytes] = []

    def slow(frame: VideoFrame, number: int) -> None:
        if number % 3 == 0:
            threading.Event().wait(0.002)
        read.append(b"".join(plane.tobytes() for plane in planes(frame)))

    make(replace(context, open_writer=watched_writer(slow)), tmp_path, range(90))
    assert read == render(context, range(90))


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    context = busy_room(tmp_path)
    written = {make(context, tmp_path, range(90)).read_bytes() for _ in range(5)}
    assert len(written) == 1


def test_a_chunk_is_the_same_alone_and_after_the_one_before(tmp_path: Path) -> None:
    """A process continues with the files that are open; its chunks do not depend on it."""
    context = busy_room(tmp_path)
    makers = MakerCache()
    alone, together = [], []
    for chunk in (range(30), range(30, 60), range(60, 90)):
        alone.append(make(context, tmp_path, chunk).read_bytes())
        track = tmp_path / "chunk.mp4"
        makers.make("this", lambda: context, chunk, track, 1, ignore_advance)
        together.append(track.read_bytes())
    makers.clear()
    assert alone == together


def test_a_chunk_follows_on_another_only_of_the_same_plan(tmp_path: Path, context: RenderContext) -> None:
    loaded = []

    def load() -> RenderContext:
        loaded.append(1)
        return context

    makers = MakerCache()
    for key, chunk in (("a", range(5)), ("a", range(5, 10)), ("a", range(15, 20)), ("b", range(20, 25))):
        makers.make(key, load, chunk, tmp_path / "chunk.mp4", 1, ignore_advance)
    makers.clear()
    assert len(loaded) == 3


@pytest.mark.parametrize("fps", [10, 30])
def test_damage_is_counted_once_however_the_picture_is_cut(tmp_path: Path, fps: int) -> None:
    """In frames that are shown, and in skipped ones right before a cut."""
    film = write_film(tmp_path / "anna.mp4", steady(6 * fps, fps), gop=fps, options={"sc_threshold": "0"})
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as container:
        spoiled = [packet for packet in container.demux() if packet.size and not packet.is_keyframe][3::7]
    for packet in spoiled:
        assert packet.pos is not None
        data[packet.pos + 5 : packet.pos + packet.size] = bytes(packet.size - 5)
    film.write_bytes(data)
    context = context_of([(ANNA, 0, film)])
    whole = RenderResult()
    render(context, range(60), whole)
    assert whole.video_stats[0].damage.count > 1
    for cut in range(20, 32):
        parts = [RenderResult(), RenderResult()]
        render(context, range(cut), parts[0])
        render(context, range(cut, 60), parts[1])
        assert parts[0].video_stats[0].joined(parts[1].video_stats[0]) == whole.video_stats[0]


def test_an_encoder_that_fails_while_frames_queue_up_stops_composing(tmp_path: Path, context: RenderContext) -> None:
    """Composing then waits for a full queue that is not emptied any more."""
    composed: list[Fraction] = []

    def fail(_: VideoFrame, __: int) -> None:
        while len(composed) < WAITING_FRAMES + 2:
            threading.Event().wait(0.001)
        threading.Event().wait(0.05)
        raise RenderError("the encoder broke")

    with pytest.raises(RenderError, match="the encoder broke"):
        make(watched(replace(context, open_writer=watched_writer(fail)), composed.append), tmp_path)
    assert len(composed) < SOON


@pytest.mark.parametrize("at", [0, 1, 50, FRAMES - 1])
@pytest.mark.parametrize("error", [RenderError("the encoder broke"), ValueError("a bug"), MemoryError()], ids=repr)
def test_an_encoder_that_fails_stops_composing_at_once(
    tmp_path: Path, context: RenderContext, at: int, error: Exception
) -> None:
    composed: list[Fraction] = []

    def fail(_: VideoFrame, number: int) -> None:
        if number == at:
            raise error

    with pytest.raises(type(error)):
        make(watched(replace(context, open_writer=watched_writer(fail)), composed.append), tmp_path)
    assert len(composed) < at + SOON


def refuse_to_open(*_: object) -> VideoWriter:
    raise RenderError("the encoder broke")


class UnclosableWriter(VideoWriter):
    """A writer that cannot end its file."""

    def close(self) -> None:
        raise RenderError("the encoder broke")


@pytest.mark.parametrize("open_writer", [refuse_to_open, UnclosableWriter])
def test_an_encoder_that_cannot_begin_or_end_is_an_error(
    tmp_path: Path, context: RenderContext, open_writer: Callable[..., VideoWriter]
) -> None:
    with pytest.raises(RenderError, match="the encoder broke"):
        make(replace(context, open_writer=open_writer), tmp_path, range(20))


@pytest.mark.parametrize("error", [Interrupted("Ctrl-C"), KeyboardInterrupt(), ZeroDivisionError()], ids=repr)
def test_composing_that_fails_stops_the_encoder(tmp_path: Path, context: RenderContext, error: BaseException) -> None:
    done: list[Fraction] = []

    def fail(t: Fraction) -> None:
        if t >= 5:
            raise error

    with pytest.raises(type(error)):
        make(watched(context, fail), tmp_path, advance=done.append)
    assert not done or done[-1] <= 5


@pytest.mark.parametrize("number", [0, 3, 60])
def test_a_signal_stops_all_threads_whenever_it_arrives(tmp_path: Path, context: RenderContext, number: int) -> None:
    """The encoder is slow here, so that composing waits for it when the signal comes."""
    composed: list[Fraction] = []

    def send_signal(_: VideoFrame, at: int) -> None:
        threading.Event().wait(0.002)
        if at == number:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def interrupt(_: int, __: FrameType | None) -> None:
        raise Interrupted("stopped")

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            make(watched(replace(context, open_writer=watched_writer(send_signal)), composed.append), tmp_path)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(composed) < number + SOON


@pytest.mark.parametrize("lost", [False, True], ids=["does not open", "is lost"])
def test_a_chunk_that_a_gpu_fails_at_is_made_on_the_cpu(tmp_path: Path, context: RenderContext, lost: bool) -> None:
    expected = make(context, tmp_path, range(10)).read_bytes()

    def open_gpu(device: RenderDevice) -> FailingGpu | None:
        if device.gpu is None:
            return None
        if not lost:
            raise DeviceError("lazy:0 is lost")
        gpu = FailingGpu()
        gpu.lost = True
        return gpu

    on_gpu = replace(context, device=RenderDevice("a test", 0, memory_bytes=64 << 20), open_gpu=open_gpu)
    makers = MakerCache()
    track = tmp_path / "chunk.mp4"
    result = makers.make("this", lambda: on_gpu, range(10), track, 1, ignore_advance)
    makers.clear()
    assert track.read_bytes() == expected
    assert result.device == "cpu"
    assert result.gpu_failure == "lazy:0 is lost: frames 0 to 9 are composed on the CPU"


def test_pictures_need_no_files(tmp_path: Path) -> None:
    """Rendering uses nothing but the protocol of sources."""
    times = [Fraction(number, FPS) for number in range(30)]
    plan = plan_of(room(take(ANNA, 0, picture(times, end=3))))
    sources = MemorySources(pictures={0: [(t, numbered(number, CANVAS)) for number, t in enumerate(times)]})
    track = tmp_path / "picture.mp4"
    maker = VideoTrackMaker(RenderContext(plan, sources, {}), threads=1)
    result = maker.make(range(30), track, ignore_advance)
    maker.close()
    with av.open(str(track)) as container:
        assert [number_of(frame) for frame in container.decode(video=0)] == list(range(30))
    assert result.video_stats == {0: DecodeStats((CANVAS,), decoders=("memory",))}


def with_sound(plan: RenderPlan, seconds: int) -> RenderPlan:
    """``plan`` with a sound of its first source."""
    track = sound(0, seconds)
    span = TimeRange(Fraction(0), Fraction(seconds))
    placements = (AudioPlacement(0, track, span, Fraction(0)),)
    return replace(plan, sound=SoundPlan(48_000 * seconds, placements, AudioEncoding("aac", 64, 2)))


def test_a_source_without_its_sound_is_silence_and_a_warning(tmp_path: Path) -> None:
    film = write_film(tmp_path / "anna_1.webm", steady(FRAMES))
    plan = with_sound(context_of([(ANNA, 0, film)]).plan, 3)
    warnings: list[str] = []
    done: list[Fraction] = []
    make_audio_track(plan, file_sources(plan, [film]), tmp_path / "sound.mp4", done.append, warnings.append)
    with av.open(str(tmp_path / "sound.mp4")) as container:
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert not heard.any()
    assert heard.shape[1] >= 3 * 48_000
    assert done[-1] == 3
    assert len(warnings) == 1
    assert warnings[0].startswith("the sound of anna_1.webm: ")


class Short(MemoryAudio):
    """Sound whose blocks lack a sample from the first second on."""

    def read(self, first_sample: int, count: int) -> Samples:
        block = super().read(first_sample, count)
        return block if first_sample < 48_000 else block[:, 1:]


def test_a_mix_that_fails_is_an_error(tmp_path: Path) -> None:
    plan = with_sound(plan_of(room(seen(ANNA, 0, 3))), 3)

    class Sources(MemorySources):
        def open_audio(self, source: int, track: AudioTrack, offset_s: Fraction) -> AudioSource:
            del track, offset_s
            return Short(self.sounds[source], 0)

    sources = Sources(sounds={0: np.zeros((2, 3 * 48_000), np.float32)})
    done: list[Fraction] = []
    with pytest.raises(ValueError, match="broadcast"):
        make_audio_track(plan, sources, tmp_path / "sound.mp4", done.append, pytest.fail)
    assert done
    assert done[-1] <= 1


class CountingReporter:
    """Counts a task's heartbeats: those before its first progress, and all."""

    def __init__(self) -> None:
        self.heartbeats = 0
        self.early_heartbeats: int | None = None

    def advance(self, _done_s: float) -> None:
        self.early_heartbeats = self.heartbeats if self.early_heartbeats is None else self.early_heartbeats

    checkpoint = advance

    def heartbeat(self) -> None:
        self.heartbeats += 1

    def warn(self, message: str) -> None:
        pytest.fail(message)


def test_decoding_up_to_the_first_frame_sends_heartbeats(tmp_path: Path) -> None:
    """Browsers may write one key frame in minutes: a late chunk, a still or a suspect decodes all frames since then."""
    film = write_film(tmp_path / "anna.mp4", steady(FRAMES), gop=FRAMES, options={"sc_threshold": "0"})
    plan = context_of([(ANNA, 0, film)]).plan
    setup, frames = RenderSetup(plan, source_files(plan, [film]), {}), range(FRAMES - 10, FRAMES)
    for task in (
        ChunkTask(setup, frames, tmp_path / "picture.mp4", threads=1),
        StillTask(setup, FRAMES - 10, tmp_path / "still.png"),
        SuspectTask(setup, 0, frames, Fraction(1000)),
    ):
        reporter = CountingReporter()
        task.run(reporter)
        assert reporter.heartbeats >= FRAMES - 10, task.name
        if isinstance(task, ChunkTask):
            assert reporter.early_heartbeats is not None
            assert reporter.early_heartbeats >= FRAMES - 10
    MAKER_CACHE.clear()


def test_a_still_is_the_frame_of_the_video_in_rgb(tmp_path: Path) -> None:
    grey = write_film(tmp_path / "grey.webm", steady(10), draw=lambda _, size: flat(size, (126, 128, 128)))
    image, result = draw_still(context_of([(ANNA, 0, grey)]), 5)
    assert not result.failures
    assert image.size == (160, 96)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image, np.int16)[48, 80] - 128).max() <= 3
