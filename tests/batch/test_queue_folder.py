"""Which files of a folder are jobs: none that may have been one is left out without a word."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from owtmix.batch.problems import QueueError
from owtmix.batch.queue import Queue, read_queue
from owtmix.jobfile.bounds import MAX_JOB_BYTES

JOB = '{"Action": "job.start", "Internal": {"JobId": "%s"}}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A queue with one job that is right."""
    (tmp_path / "a.json").write_text(JOB % "a")
    return tmp_path


def queue(folder: Path) -> Queue:
    return read_queue(str(folder))


def ids(folder: Path) -> list[str]:
    return [job.id for job in queue(folder).jobs]


def problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(QueueError) as error:
        queue(folder)
    return error.value.problems


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b'{"Act',
        b'{"Action": "job.start", "Inter',
        b"\0" * 4096,
        b"\xff\xfe\xff",
        b"[" * 100_000,
        '{"Action": "job.start"}'.encode("utf-16"),
        '{"Action": "job.start"}'.encode("utf-32-le"),
        rb'{"\u0041ction": "job.start"}',
    ],
    ids=range(10),
)
def test_a_broken_file_is_a_job_that_owt_main_refuses(folder: Path, data: bytes) -> None:
    (folder / "b.json").write_bytes(data)
    (folder / "room").mkdir()
    (folder / "room" / "cfg.json").write_bytes(data)
    assert ids(folder) == ["a", "b.json", "room/cfg.json"]


@pytest.mark.parametrize(
    "text",
    [
        '{"JobId": "x", "Files": []}',
        "[]",
        "7",
        '{"Files": [], "Files": []}',
        '{"n": NaN}',
        "\ufeff{}",
        json.dumps({"JobId": "x", "Files": [{"Name": "n" * 1000}] * (MAX_JOB_BYTES // 1000)}),
    ],
    ids=range(7),
)
def test_another_document_is_left_out_and_named(folder: Path, text: str) -> None:
    (folder / "index.json").write_text(text)
    found = queue(folder)
    assert ([job.id for job in found.jobs], found.others) == (["a"], ("index.json",))


def test_what_cannot_be_read_is_a_problem(folder: Path) -> None:
    for name in ("dangling", "loop", "pipe", "folder", "through"):
        (folder / name).mkdir()
    (folder / "dangling" / "cfg.json").symlink_to("/nonexistent/cfg.json")
    (folder / "loop" / "cfg.json").symlink_to("cfg.json")
    os.mkfifo(folder / "pipe" / "cfg.json")
    (folder / "folder" / "cfg.json").mkdir()
    (folder / "through" / "cfg.json").symlink_to("../a.json/cfg.json")
    (folder / "b.json").symlink_to("gone.json")
    os.mkfifo(folder / "c.json")
    (folder / "room-7").symlink_to("/nonexistent/disk/room-7")
    found = {line.partition(": ")[0]: line for line in problems(folder)}
    names = ["dangling", "folder", "loop", "pipe", "through"]
    assert sorted(found) == sorted(["b.json", "c.json", "room-7", *(f"{name}/cfg.json" for name in names)])
    assert found["dangling/cfg.json"].endswith(f"{folder}/dangling/cfg.json cannot be read: No such file or directory")
    assert found["pipe/cfg.json"].endswith("cannot be read: it is not a file")
    assert found["room-7"] == "room-7: this link cannot be followed: No such file or directory"


def test_a_folder_that_is_closed_is_a_problem(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, who may run this, can open every folder."""

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (folder / "closed").mkdir()
    assert ids(folder) == ["a"]
    monkeypatch.setattr(Path, "lstat", refuse)
    assert problems(folder)[0].startswith("closed/cfg.json: cfg: ")


def test_folders_and_files_that_are_no_jobs(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("")
    (folder / "notes").symlink_to("notes.txt")
    (folder / "results.jsonl").write_text("")
    (folder / "logs.json").mkdir()
    assert queue(folder).others == ()
    assert ids(folder) == ["a"]


def test_a_room_with_the_name_of_a_json_file(folder: Path) -> None:
    (folder / "b.json").mkdir()
    (folder / "b.json" / "cfg.json").write_text(JOB % "b")
    assert ids(folder) == ["a", "b"]


def test_what_editors_and_systems_hide_is_no_job(folder: Path) -> None:
    (folder / "._a.json").write_bytes(b"\0\5\x16\7")
    (folder / ".a.json.swp").write_bytes(b"x")
    (folder / ".#a.json").symlink_to("user@host.1234:56")
    (folder / ".git").mkdir()
    (folder / ".b.json").write_text(JOB % "b")
    assert ids(folder) == ["b", "a"]
    assert queue(folder).others == ()
