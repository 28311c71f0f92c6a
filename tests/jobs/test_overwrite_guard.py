"""What counts as the same place, under whatever name."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import SpecError
from owtmix.inputs.updates_file import FoundUpdates
from owtmix.jobfile.settings import Settings
from owtmix.jobs.options import Options
from owtmix.jobs.overwriting import guard_inputs, refuse_state
from owtmix.jobs.request import read_request
from owtmix.jobs.state import STATE_FOLDERS
from tests.support.room import Room

NFC, NFD = (unicodedata.normalize(form, "zoé.mp4") for form in ("NFC", "NFD"))

S3 = {
    "Vendor": "s3",
    "Endpoint": "https://s3.example.com",
    "Bucket": "videos",
    "PublicKey": "id",
    "SecretKey": "secret",
}


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    """A job whose folder has two recordings, an index, a link to their folder, and an image."""
    job_file = Room(takes=()).write(tmp_path, "job", lambda _take, _path: None)
    for name in ("a.mp4", NFD, "logo.mp4"):
        (tmp_path / "room" / name).write_bytes(name.encode())
    (tmp_path / "link").symlink_to("room")
    return job_file


def check(job_file: Path, output: str, *recordings: str, index: str | None = "job.json", **options: Any) -> None:
    request = read_request(job_file, Settings(), Options(output=output, **options))
    guard_inputs(request, request.spec.images, recordings or ("room/a.mp4", f"room/{NFC}"), index).check()


def refused(job_file: Path, output: str, *recordings: str, **options: Any) -> None:
    with pytest.raises(SpecError, match=r"--output would replace .*, an input of this job: choose another"):
        check(job_file, output, *recordings, **options)


def test_the_updates_of_the_room(job_file: Path) -> None:
    """They may have any name, through a link."""
    request = read_request(job_file, Settings(), Options(output="room/logo.mp4"))
    for found in (
        FoundUpdates(request.spec, key="link/logo.mp4"),
        FoundUpdates(request.spec, file=job_file.parent / "link" / "logo.mp4"),
    ):
        guard = guard_inputs(request, (), ["room/a.mp4"], "job.json", found)
        with pytest.raises(SpecError, match="would replace"):
            guard.check()
        with pytest.raises(SpecError, match="is an input of this job"):
            guard.check_file(job_file.parent / "room" / "logo.mp4")


def test_another_file_is_fine(job_file: Path) -> None:
    check(job_file, "room/b.mp4")
    check(job_file, "out/a.mp4")
    check(job_file, str(job_file.parent / "elsewhere" / "a.mp4"))


@pytest.mark.parametrize("output", ["room/a.mp4", "link/a.mp4", "room//./a.mp4", f"room/{NFC}", f"room/{NFD}"])
def test_a_recording_under_other_spellings(job_file: Path, output: str) -> None:
    refused(job_file, output)
    refused(job_file, str(job_file.parent / "room" / ".." / output))


def test_a_recording_that_is_missing_now(job_file: Path) -> None:
    refused(job_file, "link/late.mp4", "room/late.mp4")


@pytest.mark.parametrize("make", [Path.hardlink_to, Path.symlink_to])
def test_a_link_to_a_recording(job_file: Path, make: Callable[[Path, Path], None]) -> None:
    make(job_file.parent / "other.mp4", job_file.parent / "room" / "a.mp4")
    refused(job_file, "other.mp4")
    refused(job_file, "room/a.mp4", "other.mp4")


def test_an_index_an_image_and_the_job_file(job_file: Path) -> None:
    folder = job_file.parent
    for name in ("index.mp4", "cfg.mp4"):
        (folder / name).write_bytes(job_file.read_bytes())
    refused(job_file, "index.mp4", index="index.mp4")
    refused(folder / "cfg.mp4", "cfg.mp4")
    mark = json.dumps({"Type": 2, "Image": "room/logo.mp4", "X": 0, "Y": 0})
    refused(job_file, "link/logo.mp4", overrides={"Data.MixerConfig.WaterMark": mark})


def test_an_index_that_the_command_line_names(job_file: Path) -> None:
    index = job_file.parent / "index.mp4"
    index.write_text("{}")
    request = read_request(job_file, Settings(), Options(output="index.mp4", index=str(index)))
    with pytest.raises(SpecError, match="an input of this job"):
        guard_inputs(request, request.spec.images, ["room/a.mp4"], None).check()


def test_the_settings(job_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = job_file.parent / "owt.mp4"
    settings.write_text("")
    monkeypatch.setenv("OWT_CONF", str(settings))
    refused(job_file, "owt.mp4")


def test_a_file_like_those_that_runs_leave(job_file: Path) -> None:
    hidden = f"room/.job.{'0' * 16}.part.mp4"
    (job_file.parent / hidden).write_bytes(b"a recording")
    refused(job_file, "room/fine.mp4", hidden)
    refused(job_file, "link/fine.mp4", hidden)
    check(job_file, "out/fine.mp4", hidden)


@pytest.mark.parametrize(
    "other",
    [
        {"Endpoint": "https://S3.example.com:443"},
        {"Endpoint": "http://s3.example.com."},
        {"Endpoint": "http://127.0.0.1:9000"},
        {"Vendor": "ucloud", "Region": "cn-bj", "Endpoint": ""},
        {"Region": "eu-1"},
        {"Endpoint": "https://videos.s3.example.com", "Bucket": "room"},
    ],
)
def test_another_name_of_the_same_bucket(job_file: Path, other: dict[str, str]) -> None:
    """In doubt it is the same: a service has many addresses."""
    stores = {
        "Data.InputConfig": json.dumps({"StorageConfig": S3}),
        "Data.RecordingConfig.StorageConfig": json.dumps(S3 | other),
    }
    key = "a.mp4" if other.get("Bucket") else "room/a.mp4"
    refused(job_file, key, overrides=stores)
    check(job_file, f"out/{key}", overrides=stores)


def test_another_bucket(job_file: Path) -> None:
    stores = {
        "Data.InputConfig": json.dumps({"StorageConfig": S3}),
        "Data.RecordingConfig.StorageConfig": json.dumps(S3 | {"Bucket": "outputs"}),
    }
    check(job_file, "room/a.mp4", overrides=stores)


@pytest.mark.parametrize("name", STATE_FOLDERS)
def test_nothing_of_a_job_lies_among_the_state_of_jobs(job_file: Path, name: str) -> None:
    """Runs remove what they find there: their own output, and the recordings."""
    state = job_file.parent
    inside = state / name / "job"
    (inside / "room").mkdir(parents=True)
    (state / "alias").symlink_to(inside)

    def check_state(**options: Any) -> None:
        refuse_state(read_request(job_file, Settings(), Options(**options)), state, ["room/a.mp4"])

    check_state(output="./out/a.mp4")
    for output in (f"{name}/job/a", str(inside / "tracks" / "a.mp4"), "alias/a"):
        with pytest.raises(SpecError, match=r"--output: .* lies where runs keep and remove their own files"):
            check_state(output=output)
    with pytest.raises(SpecError, match="--index: "):
        check_state(output="./out/a.mp4", index=str(inside / "index.json"))
    check_state(output="./out/a.mp4", index=f"{name}/job/index.json")  # a key of the store
    request = read_request(job_file, Settings(), Options(output="./out/a.mp4"))
    with pytest.raises(SpecError, match=r"InputConfig.*lies where runs keep"):
        refuse_state(request, state, ["room/a.mp4", f"{name}/job/room/a.mp4"])
    document = json.loads(job_file.read_text())
    document["Data"]["InputConfig"] = {"StorageConfig": {"Vendor": "local", "Bucket": f"{name}/job"}}
    job_file.write_text(json.dumps(document))
    with pytest.raises(SpecError, match="InputConfig"):
        check_state(output="./out/a.mp4")


def check_file(job_file: Path, file: Path) -> None:
    request = read_request(job_file, Settings(), Options())
    guard_inputs(request, request.spec.images, ("room/a.mp4",), "job.json").check_file(file)


@pytest.mark.parametrize("name", ["room/a.mp4", "link/a.mp4", "job.json", "cfg.json"])
def test_a_preview_replaces_no_input(job_file: Path, name: str) -> None:
    with pytest.raises(SpecError, match="is an input of this job: choose another file"):
        check_file(job_file, job_file.parent / name)


def test_a_preview_replaces_no_pipe(job_file: Path) -> None:
    pipe = job_file.parent / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(SpecError, match="is there, and is no file"):
        check_file(job_file, pipe)
    pipe.unlink()
    check_file(job_file, pipe)
