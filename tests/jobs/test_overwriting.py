"""The output never overwrites what the room has, used or not, whatever it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command


def recordings(tiny: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tiny.parent / "room").iterdir()}


@pytest.fixture
def one(tiny: Path) -> Path:
    """Some recording of the room."""
    return next((tiny.parent / "room").glob("*.mp4"))


def test_a_recording_is_refused_as_the_output(command: Command, tiny: Path, one: Path) -> None:
    before = recordings(tiny)
    done = command.run("--output", f"room/{one.name}", tiny)
    assert done.returncode == 2
    assert f"--output names room/{one.name}, an input of this job" in done.stderr
    assert recordings(tiny) == before


def test_a_recording_that_nobody_subscribed_to_is_refused_too(command: Command, tiny: Path, one: Path) -> None:
    stream = one.stem.partition("-")[2]
    lists = [f'--set=Data.SubscribeConfig.Unsubscribe{kind}=["{stream}"]' for kind in ("Audio", "Video")]
    before = recordings(tiny)
    assert command.run("--output", f"room/{one.name}", *lists, tiny).returncode == 2
    assert recordings(tiny) == before


def test_a_link_to_the_folder_does_not_help(command: Command, tiny: Path, one: Path) -> None:
    (tiny.parent / "elsewhere").symlink_to("room")
    before = recordings(tiny)
    assert command.run("--output", f"elsewhere/{one.name}", tiny).returncode == 2
    assert recordings(tiny) == before
