"""The sample room, and the shipped job on it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import av
import pytest

from owtmix.demo.job import write_job
from owtmix.demo.lively import make_lively_room
from owtmix.demo.room import make_room
from owtmix.jobfile.settings_file import INSTALLATION
from tests.e2e import measure
from tests.e2e.bench import COMMAND, run
from tests.support.room import Room


@pytest.fixture(scope="module")
def mixer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``mixer/`` is after ``make demo``."""
    folder = tmp_path_factory.mktemp("mixer")
    make_room(folder)
    shutil.copy(INSTALLATION / "mixer" / "cfg.json", folder)
    return folder


def test_the_room_has_four_people_in_both_containers(mixer: Path) -> None:
    index = json.loads((mixer / "sample-room" / "index.json").read_text("utf-8"))
    names = {entry["Name"] for entry in index["Files"]}
    assert names | {"index.json"} == {path.name for path in (mixer / "sample-room").iterdir()}
    assert {entry["StreamId"] for entry in index["Files"]} == {"alice_1", "alice_2", "bob_1", "王小明_1", "dana_1"}
    codecs = set()
    for name in names:
        with av.open(str(mixer / "sample-room" / name)) as file:
            codecs |= {(Path(name).suffix, stream.codec_context.name) for stream in file.streams}
    assert codecs >= {(".mp4", "h264"), (".mp4", "aac"), (".webm", "vp8"), (".webm", "opus")}


def test_making_the_room_again_replaces_it(mixer: Path) -> None:
    before = {path.name: path.read_bytes() for path in (mixer / "sample-room").iterdir()}
    (mixer / "sample-room" / "index.json").write_text("{}")
    make_room(mixer)
    assert {path.name: path.read_bytes() for path in (mixer / "sample-room").iterdir()} == before
    assert not [path for path in mixer.iterdir() if path.name.startswith(".")]


def test_the_shipped_job_composes_it(mixer: Path) -> None:
    composed = run(Room(()), mixer / "cfg.json")
    assert composed.path.name == "sample-room.mp4"
    assert len(composed.video.times_s) in range(450, 452)
    assert set(composed.report["streams"]["used"]) == {"alice_1", "alice_2", "bob_1", "王小明_1", "dana_1"}
    assert composed.report["warnings"] == []
    assert measure.boxes(composed.path).index("moov") == 1


def test_the_job_that_is_written_is_the_shipped_one(tmp_path: Path) -> None:
    written = json.loads(write_job(tmp_path / "new").read_text("utf-8"))
    shipped = json.loads((INSTALLATION / "mixer" / "cfg.json").read_text("utf-8"))
    assert shipped == {"$schema": "../conf/cfg.schema.json"} | written


def test_a_job_file_that_is_there_stays(mixer: Path, tmp_path: Path) -> None:
    before = (mixer / "cfg.json").read_bytes()
    assert write_job(mixer) == mixer / "cfg.json"
    assert (mixer / "cfg.json").read_bytes() == before
    (tmp_path / "cfg.json").write_text('{"Internal": {"JobId": "weekly"}}')
    with pytest.raises(FileExistsError, match="another job: name another folder"):
        write_job(tmp_path)


def test_the_lively_room_shows_all_that_follows_who_speaks(tmp_path: Path) -> None:
    plan = json.loads(
        subprocess.run(
            [str(COMMAND), "--plan=json", str(make_lively_room(tmp_path))], capture_output=True, check=True
        ).stdout
    )
    assert plan["warnings"] == []
    assert [turn["stream"] for turn in plan["speakers"]] == [
        *("alice_1", "bob_1", "wang_1", "dana_1", "alice_1", "bob_1", "erin_1", "phone_1")
    ]
    scenes = plan["picture"]["scenes"]
    tiles = [tile for scene in scenes for tile in scene["tiles"]]
    assert any(scene["origins"] for scene in scenes)
    assert any(tile["is_muted"] for tile in tiles)
    assert {"王小明 · Wang Xiaoming", "Caller"} <= {tile["label"] for tile in tiles}
    assert len(scenes[-1]["tiles"]) == 4
    assert [update["scene"] is not None for update in plan["updates"]] == [
        True,
        True,
        False,
        True,
    ]  # a camera is no scene
