"""The sample room, and the shipped job on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import pytest

from owtmix import demo
from tests.e2e import measure
from tests.e2e.bench import run
from tests.support.room import Room


@pytest.fixture(scope="module")
def mixer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``mixer/`` is after ``make demo``."""
    folder = tmp_path_factory.mktemp("mixer")
    demo.make_room(folder)
    shutil.copy(Path(demo.__file__).parents[1] / "mixer" / "cfg.json", folder)
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
    demo.make_room(mixer)
    assert {path.name: path.read_bytes() for path in (mixer / "sample-room").iterdir()} == before
    assert not [path for path in mixer.iterdir() if path.name.startswith(".")]


def test_the_shipped_job_composes_it(mixer: Path) -> None:
    composed = run(Room(()), mixer / "cfg.json")
    assert composed.path.name == "sample-room.mp4"
    assert len(composed.video.times_s) in range(450, 452)
    assert set(composed.report["streams"]["used"]) == {"alice_1", "alice_2", "bob_1", "王小明_1", "dana_1"}
    assert composed.report["warnings"] == []
    assert measure.boxes(composed.path).index("moov") == 1
