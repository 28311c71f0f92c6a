"""Two jobs of a queue must not share an output, however its place is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import SpecError
from owtmix.batch.destinations import Destinations
from owtmix.batch.problems import QueueError
from owtmix.batch.queue import read_queue
from owtmix.jobfile.settings import Settings
from owtmix.jobs.options import Options
from owtmix.jobs.request import read_request
from tests.jobfile.test_job_file import SMALLEST

LOCAL = {"Vendor": "local", "Bucket": "."}
S3 = {"Vendor": "s3", "Endpoint": "https://s3.example.com", "Bucket": "talks"}
PREFIX = "Data.RecordingConfig.StorageConfig.FileNamePrefix"


def document(job_id: str, storage: Mapping[str, Any], **recording: Any) -> dict[str, Any]:
    """A job file, right but for what is given."""
    found: dict[str, Any] = json.loads(json.dumps(SMALLEST))
    found["Internal"].update(JobId=job_id, RoomId="room", AppId="app")
    found["Data"]["RecordingConfig"] = {"StorageConfig": dict(storage), **recording}
    return found


def write(folder: Path, name: str, job_id: str, storage: Mapping[str, Any], **recording: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(job_id, storage, **recording)))
    return path


def queue(folder: Path, *lines: Mapping[str, Any]) -> tuple[str, ...]:
    """The problems of a manifest with these lines."""
    path = folder / "jobs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return problems(path)


def problems(source: Path) -> tuple[str, ...]:
    try:
        read_queue(str(source))
    except QueueError as error:
        return error.problems
    return ()


def test_one_key_in_one_bucket(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "a", LOCAL)
    write(tmp_path, "b.json", "b", LOCAL | {"Bucket": "./x/.."})
    told = queue(tmp_path, {"cfg": "a.json", "output": "talk.mp4"}, {"cfg": "b.json", "output": "talk.mp4"})
    assert told == (f"line 2: output: line 1 writes to it, too: {tmp_path}/talk.mp4",)
    assert not queue(tmp_path, {"cfg": "a.json", "output": "talk.mp4"}, {"cfg": "b.json", "output": "Talk.mp4"})


def test_one_job_file_spelled_twice(tmp_path: Path) -> None:
    write(tmp_path, "x.json", "x", LOCAL)
    (tmp_path / "indexes").mkdir()
    lines = [
        {"cfg": cfg, "set": {"Internal.JobId": cfg[0]}, "output": "talk.mp4"} for cfg in ("x.json", "indexes/../x.json")
    ]
    assert len(queue(tmp_path, *lines)) == 1


def test_one_folder_by_two_names(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path, f"{name}.json", name, LOCAL)
    (tmp_path / "linked").symlink_to("real")
    lines = {"cfg": "a.json", "output": "./real/t.mp4"}, {"cfg": "b.json", "output": "./linked/t.mp4"}
    assert len(queue(tmp_path, *lines)) == 1  # also while the folder is not there yet
    (tmp_path / "real").mkdir()
    assert len(queue(tmp_path, *lines)) == 1
    assert len(queue(tmp_path, lines[0], {"cfg": "b.json", "output": "linked/t.mp4"})) == 1


def test_what_is_set_tells_the_output(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path, f"{name}.json", name, LOCAL)
    same = {PREFIX: "t.mp4"}
    told = queue(tmp_path, *({"cfg": f"{name}.json", "set": same} for name in "abc"))
    assert [line.partition(":")[0] for line in told] == ["line 2", "line 3"]
    assert not queue(tmp_path, {"cfg": "a.json", "set": same}, {"cfg": "b.json", "set": {PREFIX: "$JobId-t"}})
    whole = {"Data": {"RecordingConfig": {"StorageConfig": LOCAL | {"FileNamePrefix": "t"}}}}
    assert len(queue(tmp_path, {"cfg": "a.json", "set": same}, {"cfg": "b.json", "set": whole})) == 1


def test_the_job_files_of_a_folder_tell_the_outputs(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in "ab":
        write(tmp_path, f"{name}/cfg.json", name, {"Vendor": "local", "Bucket": "../out", "FileNamePrefix": "t.mp4"})
    assert problems(tmp_path) == (f"b/cfg.json: output: a/cfg.json writes to it, too: {tmp_path}/out/t.mp4",)
    write(tmp_path, "b/cfg.json", "b", {"Vendor": "local", "Bucket": ".", "FileNamePrefix": "t.mp4"})
    assert not problems(tmp_path)


def test_long_names_that_look_alike_in_messages(tmp_path: Path) -> None:
    for end in "ab":
        write(tmp_path, "x" * 240 + f"{end}.json", "same", LOCAL)
    assert "has the id same, too" in problems(tmp_path)[0]


@pytest.mark.parametrize(
    ("second", "option", "is_same"),
    [
        ({"Endpoint": "https://S3.example.com:443/"}, None, True),
        ({"Endpoint": "http://s3.example.com"}, None, True),
        ({"Endpoint": "http://s3.example.com:9000"}, None, False),
        ({"Endpoint": "https://other.example.com"}, None, False),
        ({"Bucket": "Talks"}, None, False),
        ({"FileNamePrefix": "T.mp4"}, None, False),
        ({"FileNamePrefix": "./t"}, None, True),
        ({"FileNamePrefix": "other"}, "t", True),
        ({"Endpoint": "https://user:password@s3.example.com"}, None, False),
    ],
)
def test_objects_of_stores(tmp_path: Path, second: dict[str, str], option: str | None, is_same: bool) -> None:
    first = S3 | {"FileNamePrefix": "t.mp4"}
    write(tmp_path, "a.json", "a", first)
    write(tmp_path, "b.json", "b", first | second)
    told = queue(tmp_path, {"cfg": "a.json"}, {"cfg": "b.json", "output": option})
    assert told == (("line 2: output: line 1 writes to it, too: talks/t.mp4",) if is_same else ())


def test_the_services_of_ucloud_inside_and_outside(tmp_path: Path) -> None:
    stores = [
        {"Region": "cn-bj"},
        {"Vendor": "ucloud", "Region": "cn-bj", "Endpoint": "http://internal.s3-cn-bj.ufileos.com"},
        {"Vendor": "s3", "Endpoint": "https://s3-cn-bj.ufileos.com"},
    ]
    for number, store in enumerate(stores):
        write(tmp_path, f"{number}.json", f"r{number}", {"Bucket": "talks", "FileNamePrefix": "t", **store})
    assert len(problems(tmp_path)) == 2


OPTIONS = [
    None,
    "talk",
    "./talk.mp4",
    "../out/$JobId",
    "sub//x.mov.mp4",
    "/tmp/$RoomId-$AppId.mp4",
    "/talk.mp4",
    "./sub/./x",
    "a b .mp4",
]
RECORDINGS: list[dict[str, Any]] = [
    {},
    {"FileType": ["webm"]},
    {"FileType": ["m4a"], "MediaChannel": 1},
    {"MediaChannel": 1},
    {"FileType": None, "MediaChannel": None},
]


@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize("prefix", [None, "", "x/$JobId.m4a", "/./y//talk.mp4", "$RoomId", ".mp4", "x/.webm"])
def test_the_place_is_the_one_that_owt_main_writes_to(
    tmp_path: Path, recording: dict[str, Any], prefix: str | None
) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "linked").symlink_to("jobs")
    found = document("room-1", {"Vendor": "local", "Bucket": "./store", "FileNamePrefix": prefix}, **recording)
    cfg = tmp_path / "linked" / "cfg.json"
    cfg.write_text(json.dumps(found))
    for option in OPTIONS:
        output = str(tmp_path / option) if option and option.startswith(".") else option
        place = Destinations().of(found, cfg, output)
        try:
            request = read_request(cfg, Settings(), Options(output=output))
        except SpecError:
            assert place is None
        else:
            assert place
            assert place.shown == request.output.address(request.spec.output_key)


@pytest.mark.parametrize(
    "wrong",
    [
        {"Bucket": 7},
        {"Bucket": "x" * 300},
        {"Bucket": "a\0"},
        {"Bucket": "\ud800"},
        {"Vendor": "Local"},
        {"Vendor": []},
        {"FileNamePrefix": "../x"},
        {"FileNamePrefix": {}},
        {"FileNamePrefix": "\ud800"},
        {"FileNamePrefix": "a/" * 2000},
        {"Vendor": "ucloud"},
        {"Vendor": "s3", "Endpoint": "file:///x"},
    ],
)
def test_a_wrong_job_file_is_no_problem_of_the_queue(tmp_path: Path, wrong: dict[str, Any]) -> None:
    for name in "ab":
        write(tmp_path, f"{name}.json", name, LOCAL | {"FileNamePrefix": "t"} | wrong)
    assert not problems(tmp_path)


@pytest.mark.parametrize("wrong", [{"FileType": "mp4"}, {"FileType": []}, {"FileType": [{}]}, {"MediaChannel": True}])
def test_nor_is_a_wrong_type_of_file(tmp_path: Path, wrong: dict[str, Any]) -> None:
    for name in "ab":
        write(tmp_path, f"{name}.json", name, LOCAL | {"FileNamePrefix": "t"}, **wrong)
    assert not problems(tmp_path)
