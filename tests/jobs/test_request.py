"""Paths that no file can have are mistakes of the job file, each with its place."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from owtmix.base.errors import SpecError, UnreadableError
from owtmix.jobfile.settings import Settings
from owtmix.jobs.options import Options
from owtmix.jobs.request import read_request
from tests.support.command import TINY, change

STORAGE = "Data.RecordingConfig.StorageConfig"
LONG = "n" * 300
DEEP = "folder/" * 700


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = TINY.write(tmp_path, "room", lambda _take, recording: recording.touch())
    change(path, f"{STORAGE}.Vendor", "local")
    read_request(path, Settings(), Options())
    return path


def refused(job_file: Path, options: Options = Options()) -> str:  # noqa: B008 - it is frozen
    with pytest.raises(SpecError) as caught:
        read_request(job_file, Settings(), options)
    return str(caught.value)


@pytest.mark.parametrize("folder", ["a\0b", LONG, DEEP, "张" * 90], ids=range(4))
def test_a_folder_that_cannot_be(job_file: Path, folder: str) -> None:
    change(job_file, f"{STORAGE}.Bucket", folder)
    said = refused(job_file)
    assert f"{STORAGE}.Bucket: " in said
    assert "which no" in said or "at most 4,096 characters" in said


def test_an_output_that_cannot_be(job_file: Path) -> None:
    change(job_file, f"{STORAGE}.FileNamePrefix", LONG)
    assert f"{STORAGE}.FileNamePrefix: a name in it has more than 255 bytes" in refused(job_file)


def test_an_index_that_cannot_be(job_file: Path) -> None:
    change(job_file, "Data.InputConfig", {"Index": LONG})
    assert "Data.InputConfig.Index: a name in it has more than 255 bytes" in refused(job_file)


@pytest.mark.parametrize("path", [LONG, f"./{LONG}", f"/{DEEP}", "./\ud800", "a\0b", "./a\0b"], ids=range(6))
@pytest.mark.parametrize("option", ["--index", "--output"])
def test_an_option_that_cannot_be(job_file: Path, option: str, path: str) -> None:
    given: dict[str, Any] = {option[2:]: path}
    assert f"{option}: " in refused(job_file, Options(**given))


@pytest.mark.parametrize("name", [".room-7.0123456789abcdef.part", ".another.0123456789abcdef.part.mp4"])
def test_an_output_with_the_name_of_an_unfinished_one_would_be_removed(job_file: Path, name: str) -> None:
    told = r".*\.part\.mp4 is a name of unfinished files, which runs remove: choose another"
    assert re.search(f"--output: {told}", refused(job_file, Options(output=f"./{name}")))
    change(job_file, "Data.RecordingConfig.StorageConfig.FileNamePrefix", f"out/{name}")
    assert re.search(f"FileNamePrefix: {told}", refused(job_file))


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", ".", LONG, "a\0b", "\ud800", "missing"], ids=range(7))
def test_a_job_file_that_is_none(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableError, match="the job file cannot be read: "):
        read_request(tmp_path / name, Settings(), Options())
