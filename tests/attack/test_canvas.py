"""Every canvas that is accepted works with the limits as shipped; others are refused before anything is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.jobfile.settings import LimitSettings
from tests.attack.watching import watch
from tests.support import people
from tests.support.command import Command, install
from tests.support.people import Take
from tests.support.room import Json, Room

pytestmark = pytest.mark.timeout(900)

LIMIT_MIB: Final = LimitSettings().worker_memory_mib
WEBM: Final[Json] = {"FileType": ["webm"]}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return install(tmp_path_factory.mktemp("installation") / "owt")


def room(size: tuple[int, int], **fields: Any) -> Room:
    """Long enough for the lookahead and all frames on their way to be in use; the camera is gone for a while."""
    times = (*range(0, 1000, 100), *range(4200, 4700, 100))
    camera = Take("anna_1", 0, 4700, people.COLOURS[0], 440, size=(320, 180), frames_ms=times)
    return Room((camera,), size=size, fps=5, **fields)


def everywhere(size: tuple[int, int], count: int) -> Json:
    """``count`` people who each have the whole canvas."""
    whole = {"X": 0, "Y": 0, "Width": size[0], "Height": size[1]}
    return {"PositionConfig": [{"RtcStreamId": f"p{number}_1", "Region": whole} for number in range(count)]}


@pytest.mark.parametrize(
    "shown",
    [
        room((8192, 8192), mixer={"WaterMark": [{"Type": 1, "X": 16, "Y": 16}]}),
        room((6848, 6848), recording=WEBM),
        room((8192, 16)),
        room((16, 8192), recording=WEBM),
        replace(
            room((3840, 2160), mixer=everywhere((3840, 2160), 18), subscribe={"VideoStreamType": 1}),
            takes=tuple(people.person(number, 0, 2600, size=(64, 36), sound=False) for number in range(18)),
        ),
    ],
    ids=["8192x8192 MP4", "6848x6848 WebM", "widest", "highest", "18 over each other"],
)
def test_the_largest_that_are_accepted_work(command: Command, tmp_path: Path, shown: Room) -> None:
    job_file = shown.write(tmp_path, "canvas", people.record)
    seen = watch(command, job_file)
    assert seen.status == 0, seen.told
    assert "took more" not in seen.told
    assert "again" not in seen.told, "no process was ended"
    assert seen.child_mib < LIMIT_MIB


@pytest.mark.parametrize(
    ("shown", "change"),
    [
        (room((8192, 8192), recording=WEBM), "choose a smaller Width or Height or raise that limit"),
        (
            replace(
                room((3840, 2160), mixer=everywhere((3840, 2160), 40), subscribe={"VideoStreamType": 1}),
                takes=tuple(people.person(number, 0, 2600, size=(64, 36), sound=False) for number in range(40)),
            ),
            "choose fewer or smaller tiles, or ones that overlap less, or raise that limit",
        ),
    ],
    ids=["8192x8192 WebM", "40 over each other"],
)
@pytest.mark.parametrize("option", ["--plan", "--fresh"])
def test_what_does_not_fit_is_refused_by_the_plan(
    command: Command, tmp_path: Path, shown: Room, change: str, option: str
) -> None:
    job_file = shown.write(tmp_path, "canvas", people.record)
    seen = watch(command, option, job_file)
    assert seen.status == 2
    assert change in seen.told
    assert seen.child_mib < LIMIT_MIB // 8
    assert not list(tmp_path.glob("out/*"))
