"""What senders sent may kill the worker that mixes: they are found, and all others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.errors import InputError
from owtmix.base.ids import StreamId
from owtmix.jobfile.settings import Settings
from owtmix.live.live_mix import LiveMix
from owtmix.live.live_plan import Head
from owtmix.live.mix_folder import MixFolder
from owtmix.live.mixer import head_of, used_sources
from owtmix.live.tasks import HeadTask, MixTask
from owtmix.recorder.clock import fixed_clock
from owtmix.recorder.file_plan import Track
from owtmix.recorder.journal import Frame, JournalHead, JournalReader, JournalWriter
from owtmix.recorder.room_folder import RoomFolder
from owtmix.workers.base import Death, DeathKind, Outcome
from tests.e2e.measure import beeps, read_sound
from tests.mixing.rooms import begin
from tests.recorder.senders import START_US, Sender
from tests.support.executor import InProcessExecutor

ALICE: Final = Sender("alice_1", marks_ms=(1000, 3000), seed=2)
BOB: Final = Sender("bob_1", marks_ms=(2000,), tone_hz=900, seed=3)
NOW_US: Final = START_US + 3_600_000_000


class Deadly(InProcessExecutor):
    """Tasks die that ``kills``."""

    def __init__(self, kills: Callable[[Any], bool]) -> None:
        super().__init__()
        self._kills = kills

    def run(self, tasks: Any, *arguments: Any, **more: Any) -> Iterator[Outcome[Any]]:
        (task,) = tasks
        if self._kills(task):
            yield Outcome(task, death=Death(DeathKind.EXITED, "crashed"))
        else:
            yield from super().run([task], *arguments, **more)


def mixed(room: Path, kills: Callable[[Any], bool]) -> dict[str, Any]:
    live = MixFolder(room)
    with live.locked():
        return LiveMix(RoomFolder(room), live, Settings(), Deadly(kills), lambda: NOW_US).run()


def test_who_kills_the_worker_is_a_placeholder_and_silent(tmp_path: Path) -> None:
    room = begin(tmp_path / "room", [ALICE, BOB])

    def kills(task: Any) -> bool:
        used = (
            {task.sources[number].plan.name for number in used_sources(task.plan)} if isinstance(task, MixTask) else {}
        )
        return any(name.startswith("bob") for name in used)

    report = mixed(room, kills)
    first, second = report["warnings"]
    assert first == "the room at 00:00:00.000 is made again: its process crashed"
    assert second == "bob_1-s1.webm is a placeholder, and silent: its process crashed"
    assert report["frames"] == 80
    sound = read_sound(room / "live" / "mix.mp4")
    assert sound
    assert beeps(sound.samples, ALICE.tone_hz) != []
    assert beeps(sound.samples, BOB.tone_hz) == []


def test_a_key_frame_that_kills_costs_its_own_file(tmp_path: Path) -> None:
    room = begin(tmp_path / "room", [ALICE, BOB])
    report = mixed(room, lambda task: isinstance(task, HeadTask) and task.key.startswith("bob"))
    assert report["warnings"] == ["bob_1-s1.webm is left out: its process crashed"]
    assert report["frames"] == 80


def test_deaths_of_no_sender_end_the_mix_and_it_goes_on_later(tmp_path: Path) -> None:
    room = begin(tmp_path / "room", [ALICE])
    deaths: list[Any] = []

    def kills(task: Any) -> bool:
        if isinstance(task, MixTask) and task.span[0] == 2 and len(deaths) < 3:
            deaths.append(task)
            return True
        return False

    report = mixed(room, kills)
    assert len(deaths) == 3
    assert report["frames"] == 80
    assert "placeholder" not in " ".join(report["warnings"])


def test_a_picture_that_cannot_be_shown_is_looked_at_seldom(tmp_path: Path) -> None:
    """Each look reads all of its journal."""
    room = begin(tmp_path / "room", [ALICE])
    (head, key), *_ = key_frames(room)
    write_keys(room, replace(head, session="bad", stream=StreamId.parse("bob_1")), [bad(key)] * 30)
    looks: list[str] = []

    def kills(task: Any) -> bool:
        if isinstance(task, HeadTask):
            looks.append(task.name)
        return False

    assert mixed(room, kills)["frames"] == 80
    assert sorted(looks) == ["alice_1-s0.webm", "bob_1-bad.webm"]


def test_few_key_frames_of_a_picture_are_tried(tmp_path: Path) -> None:
    room = begin(tmp_path / "room", [ALICE])
    (head, key), *_ = key_frames(room)

    def tried(before: int, after: int) -> Head:
        frames = [*[bad(key)] * before, key, *[bad(key)] * after]
        path = write_keys(room, replace(head, session=f"s{before}and{after}"), frames)
        return head_of(Track(path, "vp8", fixed_clock(head.rate, ())))

    assert tried(19, 500).size == tried(500, 19).size
    with pytest.raises(InputError):
        tried(500, 500)


def key_frames(room: Path) -> list[tuple[JournalHead, Frame]]:
    """Those of the pictures in a room."""
    found = []
    for path in sorted((room / "journals").glob("*.video.*")):
        with JournalReader(path) as reader:
            found += [(reader.head, frame) for frame in reader.records() if isinstance(frame, Frame) and frame.is_key]
    return found


def bad(key: Frame) -> Frame:
    """A key frame of VP8 that tells its size, and has too little data."""
    return replace(key, data=b"\xf0\xff\xff" + key.data[3:10])


def write_keys(room: Path, head: JournalHead, frames: Sequence[Frame]) -> Path:
    path = room / "journals" / f"{head.session}.video.0.journal"
    writer = JournalWriter(path, head)
    for n, frame in enumerate(frames):
        writer.frame(replace(frame, rtp=frame.rtp + n * 90, arrived_us=frame.arrived_us + n * 1000))
    writer.end()
    return path
