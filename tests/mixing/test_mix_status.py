"""A mix tells that it lives, whatever takes long: a process that tells nothing for long is taken for one that hangs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.jobfile.settings import Settings
from owtmix.live.live_mix import LiveMix
from owtmix.live.mix_folder import MixFolder
from owtmix.live.mix_status import MixStatus
from owtmix.live.tasks import MixTask
from owtmix.recorder.room_folder import RoomFolder
from owtmix.workers.base import Outcome
from tests.mixing.rooms import begin
from tests.recorder.senders import START_US, Sender
from tests.support.executor import InProcessExecutor

NOW_US: Final = START_US + 3_600_000_000


class NoMoreError(Exception):
    """The test has seen enough."""


class Slow(InProcessExecutor):
    """Of the second chunk, the first look at whether it gets on is ``look``, which gets what watches."""

    def __init__(self, look: Callable[[Callable[[], object]], None]) -> None:
        super().__init__()
        self._look = look

    def run(self, tasks: Any, *arguments: Any, **more: Any) -> Iterator[Outcome[Any]]:
        (task,) = tasks
        if isinstance(task, MixTask) and task.span[0] > 0:
            self._look(more["watch"])
        yield from super().run([task], *arguments, **more)


def told(live: MixFolder) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads((live.root / "state.json").read_bytes())
    except FileNotFoundError:
        return None
    return state


def mixing(room: Path, executor: InProcessExecutor, now_us: Callable[[], int]) -> None:
    live = MixFolder(room)
    with live.locked():
        LiveMix(RoomFolder(room), live, Settings(), executor, now_us).run()


def test_it_is_due_after_some_seconds(tmp_path: Path) -> None:
    now_s = [100.0]
    live = MixFolder(tmp_path)
    with live.locked():
        status = MixStatus(live, Fraction(2), lambda: now_s[0])
        for _ in range(2):
            now_s[0] += 2.9
            assert not status.is_due
            now_s[0] += 0.2
            assert status.is_due
            status.tell(1000, 12.3456)
            assert told(live) == {
                "chunks": 0,
                "done_s": 0.0,
                "behind_s": 12.346,
                "begun_us": 1_000_000,
                "files": [],
                "warnings": [],
            }


def test_what_is_warned_of_is_told_once(tmp_path: Path) -> None:
    live = MixFolder(tmp_path)
    with live.locked():
        status = MixStatus(live, Fraction(2))
        for message in ("one", "two", "one"):
            status.warn(message)
        status.tell(None, 0.0)
        state = told(live)
    assert state
    assert (state["begun_us"], state["warnings"]) == (None, ["one", "two"])


def test_as_long_as_nobody_comes_it_is_told_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("owtmix.live.mix_status._EACH_S", 0.0)
    room = begin(tmp_path / "room", [])
    (room / "live" / "stop").unlink()
    live = MixFolder(room)
    versions = []

    def now_us() -> int:
        versions.append((live.root / "state.json").stat().st_mtime_ns)
        if len(versions) == 4:
            raise NoMoreError
        return NOW_US

    with pytest.raises(NoMoreError):
        mixing(room, InProcessExecutor(), now_us)
    assert len(set(versions)) == 4


def test_while_a_chunk_takes_long_it_is_told_how_far_behind_the_mix_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("owtmix.live.mix_status._EACH_S", 0.0)
    room = begin(tmp_path / "room", [Sender("alice_1")])
    (room / "live" / "stop").unlink()
    now_us = START_US + 6_000_000

    def look(watch: Callable[[], object]) -> None:
        nonlocal now_us
        now_us += 20_000_000
        watch()
        raise NoMoreError

    with pytest.raises(NoMoreError):
        mixing(room, Slow(look), lambda: now_us)
    state = told(MixFolder(room))
    assert state
    assert state["chunks"] == 1
    assert state["behind_s"] == pytest.approx(6 + 20 - 2, abs=0.1)
