"""Places that the jobs of one machine share."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from owtmix.workers.places import PATIENCE_S, Places

HOLDER = """
import sys, time
from pathlib import Path
from owtmix.workers.places import Places
held = Places(Path(sys.argv[1]), 1).take()
print(held is not None, flush=True)
time.sleep(60)
"""


WAITER = """
import sys, time
from pathlib import Path
from owtmix.workers.places import Places
with Places(Path(sys.argv[1]), 1).wait():
    print("waits", flush=True)
    time.sleep(60)
"""


def taken(places: Places) -> int:
    """How many places could be taken, all of which are given back."""
    held = []
    while (descriptor := places.take()) is not None:
        held.append(descriptor)
    for descriptor in held:
        os.close(descriptor)
    return len(held)


def test_there_are_as_many_places_as_processors_whoever_asks(tmp_path: Path) -> None:
    one, other = Places(tmp_path / "places", 3), Places(tmp_path / "places", 3)
    held = one.take()
    assert held is not None
    assert taken(other) == 2
    os.close(held)
    assert taken(other) == 3


def test_a_place_is_held_until_its_last_copy_is_closed(tmp_path: Path) -> None:
    """A batch takes a place, hands it to the job that it starts, and forgets it."""
    places = Places(tmp_path / "places", 1)
    held = places.take()
    assert held is not None
    program = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, pass_fds=[held]) as job:
        os.close(held)
        assert places.take() is None
        job.communicate()
    assert taken(places) == 1


def test_who_is_killed_lets_go(tmp_path: Path) -> None:
    places = Places(tmp_path / "places", 1)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "places")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        assert places.take() is None
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert taken(places) == 1


def test_nobody_takes_a_spare_place_while_somebody_waits(tmp_path: Path) -> None:
    one, other = Places(tmp_path / "places", 2), Places(tmp_path / "places", 2)
    with one.wait(), other.wait():
        assert one.take_spare() is None
        waited = one.take()
        assert waited is not None
    spare = other.take_spare()
    assert spare is not None
    assert other.take_spare() is None
    os.close(waited)
    os.close(spare)


def test_places_that_are_held_are_counted_whoever_holds_them(tmp_path: Path) -> None:
    one, other = Places(tmp_path / "places", 3), Places(tmp_path / "places", 3)
    held = [one.take(), other.take_spare()]
    assert [one.held(), other.held()] == [2, 2]
    for descriptor in held:
        assert descriptor is not None
        os.close(descriptor)
    assert one.held() == 0
    assert taken(one) == 3


def test_who_waits_longest_is_first(tmp_path: Path) -> None:
    one, other, new = (Places(tmp_path / "places", 1) for _ in range(3))
    with one.wait():
        with other.wait():
            assert other.take() is None
            assert new.take() is None
            held = one.take()
            assert held is not None
            os.close(held)
        assert new.take() is None
    assert taken(new) == 1


def test_two_that_wait_take_turns(tmp_path: Path) -> None:
    both = [Places(tmp_path / "places", 1) for _ in range(2)]
    lines = [ExitStack() for _ in both]
    for places, line in zip(both, lines, strict=True):
        line.enter_context(places.wait())
    turns = []
    for _ in range(10):
        for number, (places, line) in enumerate(zip(both, lines, strict=True)):
            if (held := places.take()) is not None:
                os.close(held)
                turns.append(number)
                line.close()
                line.enter_context(places.wait())
    assert turns == [0, 1] * 10
    for line in lines:
        line.close()


def test_a_ticket_of_somebody_who_was_killed_is_removed(tmp_path: Path) -> None:
    places = Places(tmp_path / "places", 1)
    program = [sys.executable, "-c", WAITER, str(tmp_path / "places")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as waiter:
        assert waiter.stdout
        assert waiter.stdout.readline() == "waits\n"
        assert places.take() is None
        assert len([*places.folder.glob("waits-*")]) == 1
        waiter.kill()
        waiter.wait()
    assert taken(places) == 1
    assert not [*places.folder.glob("waits-*")]


def test_somebody_who_hangs_in_line_holds_up_nobody(tmp_path: Path) -> None:
    one, other = Places(tmp_path / "places", 1), Places(tmp_path / "places", 1)
    with one.wait():
        (ticket,) = one.folder.glob("waits-*")
        long_ago_s = time.time() - PATIENCE_S - 1
        os.utime(ticket, (long_ago_s, long_ago_s))
        assert taken(other) == 1
        held = one.take()  # it asks again
        assert held is not None
        os.close(held)
        assert other.take() is None


def test_a_look_for_spare_places_does_not_keep_others_from_waiting(tmp_path: Path) -> None:
    places = Places(tmp_path / "places", 1)
    for _ in range(100):
        with places.wait():
            assert places.take_spare() is None
        spare = places.take_spare()
        assert spare is not None
        os.close(spare)


def test_the_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    places = Places.of_machine(2)
    assert stat.S_IMODE(places.folder.stat().st_mode) == 0o700
    places.folder.rmdir()
    places.folder.symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        Places.of_machine(2)


def test_who_waits_for_a_few_places_holds_up_nobody_at_the_others(tmp_path: Path) -> None:
    """A batch of one job at a time waits for the first place, which a long job has."""
    folder = tmp_path / "places"
    few, many = Places(folder, 1), Places(folder, 3)
    with ExitStack() as held:
        held.callback(os.close, _given(few.take()))
        with few.wait():
            assert few.take() is None
            held.callback(os.close, _given(many.take()))
            held.callback(os.close, _given(many.take_spare()))
            assert many.take() is None
    assert taken(many) == 3


def test_who_waits_for_many_places_has_all_of_them_first(tmp_path: Path) -> None:
    folder = tmp_path / "places"
    few, many = Places(folder, 1), Places(folder, 3)
    with many.wait():
        assert few.take() is None
        assert few.take_spare() is None
        os.close(_given(many.take()))


def _given(descriptor: int | None) -> int:
    assert descriptor is not None
    return descriptor
