"""A track is made by threads beside each other; whichever fails, all of them stop at once and nothing hangs."""

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
from av.video.frame import VideoFrame

from owtmix.base.errors import Interrupted, RenderError
from owtmix.base.time import TimeRange
from owtmix.compositor.base import ComposedFrame, Layer
from owtmix.compositor.cpu import CpuCanvas, planes
from owtmix.compositor.overlays import Overlays
from owtmix.media.writers import VideoWriter
from owtmix.plan.media_info import AudioRun, AudioTrack
from owtmix.plan.model import AudioEncoding, AudioPlacement, SoundPlan
from owtmix.produce.tasks import ChunkTask, RenderSetup, StillTask, SuspectTask
from owtmix.render import audio_track, video_track
from owtmix.render.audio_track import make_sound
from owtmix.render.results import RenderResult
from owtmix.render.still import draw_still
from owtmix.render.video_track import WAITING_FRAMES, MakerCache, Material, VideoTrackMaker
from tests.media.pictures import flat, steady, write_film
from tests.render.footage import ANNA, BEN, busy_room, draw, plan

pytestmark = pytest.mark.timeout(30)
"""What hangs is a failure."""

FRAMES: Final = 200
ENDING_S: Final = 10
SOON: Final = 20
"""So many frames may be drawn before a failure is noticed, of hundreds."""


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """Twenty seconds of two people."""
    return plan([(who, 0, write_film(tmp_path / f"{who}.webm", steady(FRAMES))) for who in (ANNA, BEN)])


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every frame that is composed."""
    drawn: list[int] = []
    compose = CpuCanvas.compose

    def spy(canvas: CpuCanvas, layers: list[Layer]) -> ComposedFrame:
        drawn.append(len(drawn))
        return compose(canvas, layers)

    monkeypatch.setattr(CpuCanvas, "compose", spy)
    return drawn


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No thread outlives a test; one that a signal caught while it was being started ends by itself."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(ENDING_S)
    assert set(threading.enumerate()) <= before


def make(
    material: Material, folder: Path, frames: range = range(FRAMES), advance: video_track.Advance = lambda _: None
) -> Path:
    track = folder / "picture.mp4"
    maker = VideoTrackMaker(material, threads=2)
    try:
        maker.make(frames, track, advance)
    finally:
        maker.close()
    return track


def numbers(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [(packet.pts or 0) * packet.time_base for packet in container.demux() if packet.size]


def test_a_track_holds_the_frames_of_its_part_from_0_on(tmp_path: Path, material: Material) -> None:
    done: list[Fraction] = []
    track = make(material, tmp_path, range(40, 75), done.append)
    assert numbers(track) == [Fraction(i, 10) for i in range(35)]
    assert done == [Fraction(i, 10) for i in range(1, 36)]


def test_what_is_encoded_is_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames go round in a ring: none is drawn on before the encoder has read it."""
    material = busy_room(tmp_path)
    read: list[bytes] = []
    write = VideoWriter.write

    def slow(writer: VideoWriter, frame: VideoFrame, number: int) -> None:
        if number % 3 == 0:
            threading.Event().wait(0.002)
        read.append(b"".join(plane.tobytes() for plane in planes(frame)))
        write(writer, frame, number)

    monkeypatch.setattr(VideoWriter, "write", slow)
    make(material, tmp_path, range(90))
    assert read == draw(material, range(90))


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    material = busy_room(tmp_path)
    written = {make(material, tmp_path, range(90)).read_bytes() for _ in range(5)}
    assert len(written) == 1


def test_a_chunk_is_the_same_alone_and_after_the_one_before(tmp_path: Path) -> None:
    """A process goes on with the files that are open; what it makes does not depend on it."""
    material = busy_room(tmp_path)
    bench = MakerCache()
    alone, together = [], []
    for chunk in (range(30), range(30, 60), range(60, 90)):
        alone.append(make(material, tmp_path, chunk).read_bytes())
        track = tmp_path / "chunk.mp4"
        bench.make("this", lambda: material, chunk, track, 1, lambda _: None)
        together.append(track.read_bytes())
    bench.clear()
    assert alone == together


def test_a_chunk_follows_on_another_only_of_the_same_plan(tmp_path: Path, material: Material) -> None:
    loaded = []

    def load() -> Material:
        loaded.append(1)
        return material

    bench = MakerCache()
    for key, chunk in (("a", range(5)), ("a", range(5, 10)), ("a", range(15, 20)), ("b", range(20, 25))):
        bench.make(key, load, chunk, tmp_path / "chunk.mp4", 1, lambda _: None)
    bench.clear()
    assert len(loaded) == 3


@pytest.mark.parametrize("fps", [10, 30])
def test_damage_is_counted_once_however_the_picture_is_cut(tmp_path: Path, fps: int) -> None:
    """Be it in what is shown, or right before a cut in what is not."""
    film = write_film(tmp_path / "anna.mp4", steady(6 * fps, fps), gop=fps, options={"sc_threshold": "0"})
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as container:
        spoiled = [packet for packet in container.demux() if packet.size and not packet.is_keyframe][3::7]
    for packet in spoiled:
        assert packet.pos is not None
        data[packet.pos + 5 : packet.pos + packet.size] = bytes(packet.size - 5)
    film.write_bytes(data)
    material = plan([(ANNA, 0, film)])
    whole = RenderResult()
    draw(material, range(60), whole)
    assert whole.seen[0].damage.count > 1
    for cut in range(20, 32):
        parts = [RenderResult(), RenderResult()]
        draw(material, range(cut), parts[0])
        draw(material, range(cut, 60), parts[1])
        assert parts[0].seen[0].joined(parts[1].seen[0]) == whole.seen[0]


def test_an_encoder_that_fails_while_frames_queue_up_stops_the_drawing(
    tmp_path: Path, material: Material, composed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drawing then waits for room in a queue that nobody empties any more."""

    def fail(_: VideoWriter, __: VideoFrame, ___: int) -> None:
        while len(composed) < WAITING_FRAMES + 2:
            threading.Event().wait(0.001)
        threading.Event().wait(0.05)
        raise RenderError("the encoder broke")

    monkeypatch.setattr(VideoWriter, "write", fail)
    with pytest.raises(RenderError, match="the encoder broke"):
        make(material, tmp_path)
    assert len(composed) < SOON


@pytest.mark.parametrize("at", [0, 1, 50, FRAMES - 1])
@pytest.mark.parametrize("error", [RenderError("the encoder broke"), ValueError("a bug"), MemoryError()], ids=repr)
def test_an_encoder_that_fails_is_heard_at_once(
    tmp_path: Path, material: Material, composed: list[int], monkeypatch: pytest.MonkeyPatch, at: int, error: Exception
) -> None:
    write = VideoWriter.write

    def fail(writer: VideoWriter, frame: VideoFrame, number: int) -> None:
        if number == at:
            raise error
        write(writer, frame, number)

    monkeypatch.setattr(VideoWriter, "write", fail)
    with pytest.raises(type(error)):
        make(material, tmp_path)
    assert len(composed) < at + SOON


@pytest.mark.parametrize("method", ["__init__", "close"])
def test_an_encoder_that_cannot_begin_or_end_is_heard(
    tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object) -> None:
        raise RenderError("the encoder broke")

    monkeypatch.setattr(VideoWriter, method, fail)
    with pytest.raises(RenderError, match="the encoder broke"):
        make(material, tmp_path, range(20))


def raising_at(t: Fraction, error: BaseException) -> Callable[[Overlays, Fraction], list[Layer]]:
    def watermarks(_: Overlays, now: Fraction) -> list[Layer]:
        if now >= t:
            raise error
        return []

    return watermarks


@pytest.mark.parametrize("error", [Interrupted("Ctrl-C"), KeyboardInterrupt(), ZeroDivisionError()], ids=repr)
def test_a_drawing_that_fails_stops_the_encoder(
    tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    done: list[Fraction] = []
    monkeypatch.setattr(Overlays, "watermarks", raising_at(Fraction(5), error))
    with pytest.raises(type(error)):
        make(material, tmp_path, advance=done.append)
    assert not done or done[-1] <= 5


@pytest.mark.parametrize("number", [0, 3, 60])
def test_a_signal_stops_all_threads_wherever_it_strikes(
    tmp_path: Path, material: Material, composed: list[int], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The encoder is slow here, so that the drawing waits for it when the signal comes."""
    write = VideoWriter.write

    def strike(writer: VideoWriter, frame: VideoFrame, at: int) -> None:
        threading.Event().wait(0.002)
        if at == number:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        write(writer, frame, at)

    def interrupt(_: int, __: FrameType | None) -> None:
        raise Interrupted("stopped")

    monkeypatch.setattr(VideoWriter, "write", strike)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            make(material, tmp_path)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(composed) < number + SOON


def silence_of(material: Material, seconds: int) -> Material:
    """``material`` with a plan for a sound that its first file does not have."""
    track = AudioTrack(1, "opus", 48_000, 2, (AudioRun(((0, Fraction(0)), (48_000 * seconds, Fraction(seconds)))),))
    span = TimeRange(Fraction(0), Fraction(seconds))
    sound = SoundPlan(48_000 * seconds, (AudioPlacement(0, track, span, Fraction(0)),), AudioEncoding("aac", 64, 2))
    return replace(material, plan=replace(material.plan, sound=sound))


def test_a_source_without_its_sound_is_silence_and_a_warning(tmp_path: Path, material: Material) -> None:
    warnings: list[str] = []
    done: list[Fraction] = []
    make_sound(silence_of(material, 3), tmp_path / "sound.mp4", done.append, warnings.append)
    with av.open(str(tmp_path / "sound.mp4")) as container:
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert not heard.any()
    assert heard.shape[1] >= 3 * 48_000
    assert done[-1] == 3
    assert len(warnings) == 1
    assert warnings[0].startswith("the sound of anna_1.webm: ")


def test_a_mix_that_fails_is_heard(tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    def mix(*_: object) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
        yield np.zeros((2, 24_000), np.float32)
        raise ZeroDivisionError

    monkeypatch.setattr(audio_track, "mix", mix)
    with pytest.raises(ZeroDivisionError):
        make_sound(silence_of(material, 3), tmp_path / "sound.mp4", lambda _: None, lambda _: None)


class Heard:
    """News as a parent hears them: how often it hears of a task's life before the first progress, and in all."""

    def __init__(self) -> None:
        self.pulses = 0
        self.early_pulses: int | None = None

    def advance(self, _done_s: float) -> None:
        self.early_pulses = self.pulses if self.early_pulses is None else self.early_pulses

    checkpoint = advance

    def heartbeat(self) -> None:
        self.pulses += 1

    def warn(self, message: str) -> None:
        pytest.fail(message)


def test_the_way_to_the_first_frame_is_no_silence(tmp_path: Path) -> None:
    """Browsers write a key frame in minutes: a late chunk, a still, or a suspect decodes all since, and is no hang."""
    film = write_film(tmp_path / "anna.mp4", steady(FRAMES), gop=FRAMES, options={"sc_threshold": "0"})
    room = plan([(ANNA, 0, film)])
    setup, frames = RenderSetup(room.plan, room.paths, {}), range(FRAMES - 10, FRAMES)
    for task in (
        ChunkTask(setup, frames, tmp_path / "picture.mp4", threads=1),
        StillTask(setup, FRAMES - 10, tmp_path / "still.png"),
        SuspectTask(setup, 0, frames, Fraction(1000)),
    ):
        reporter = Heard()
        task.run(reporter)
        assert reporter.pulses >= FRAMES - 10, task.name
        if isinstance(task, ChunkTask):
            assert reporter.early_pulses is not None
            assert reporter.early_pulses >= FRAMES - 10
    video_track.MAKER_CACHE.clear()


def test_a_still_is_the_frame_of_the_video_in_rgb(tmp_path: Path) -> None:
    grey = write_film(tmp_path / "grey.webm", steady(10), draw=lambda _, size: flat(size, (126, 128, 128)))
    image, notes = draw_still(plan([(ANNA, 0, grey)]), 5)
    assert not notes.failures
    assert image.size == (160, 96)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image, np.int16)[48, 80] - 128).max() <= 3
