"""Below which folders a job file may have local stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from owtmix.base.errors import SpecError
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage import LocalStore, S3Options, open_store
from tests.storage.conftest import AT


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """The folder of a job file; beside it lies a folder that is none of its business."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "jobs" / "room").mkdir(parents=True)
    (tmp_path / "jobs" / "out-of-it").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "jobs" / "inside").symlink_to("room")
    (tmp_path / "jobs" / "cycle").symlink_to("cycle")
    return tmp_path / "jobs"


def folder(bucket: str, jobs: Path, *roots: Path) -> Path:
    store = open_store(StorageSpec("local", bucket, None, None, None, None), jobs, AT, S3Options(), roots)
    assert isinstance(store, LocalStore)
    return store.root


@pytest.mark.parametrize("bucket", [".", "room", "./room/../room//", "inside", "not-there-yet/deeper", ""])
def test_the_job_files_folder_and_what_is_below_it(jobs: Path, bucket: str) -> None:
    assert folder(bucket, jobs).is_relative_to(jobs)
    assert folder(str(jobs / bucket), jobs).is_relative_to(jobs)


@pytest.mark.parametrize(
    "bucket",
    [
        "/etc",
        "..",
        "../elsewhere",
        "../jobs-2",
        "room/../../elsewhere",
        "out-of-it",
        "inside/../../elsewhere",
        "/proc/self",
    ],
)
def test_nothing_else(jobs: Path, bucket: str) -> None:
    with pytest.raises(SpecError, match=r"StorageConfig\.Bucket: \S+ is not below \S+/jobs: .* \[local\] roots in"):
        folder(bucket, jobs)


def test_the_folders_that_the_settings_name_in_its_place(jobs: Path) -> None:
    elsewhere = jobs.parent / "elsewhere"
    assert folder("../elsewhere", jobs, elsewhere) == elsewhere
    assert folder("out-of-it/deeper", jobs, elsewhere) == elsewhere / "deeper"
    assert folder("out-of-it", jobs, jobs / "out-of-it") == elsewhere, "roots may be links themselves"
    with pytest.raises(SpecError, match="is not below"):
        folder("room", jobs, elsewhere)


def test_a_link_that_is_set_later_does_not_help(jobs: Path) -> None:
    (jobs.parent / "elsewhere" / "shadow.json").write_text("root:x")
    store = open_store(StorageSpec("local", "room", None, None, None, None), jobs, AT, S3Options())
    (jobs / "room").rmdir()
    (jobs / "room").symlink_to("../elsewhere")
    with pytest.raises(Exception, match="leads out of the folder"):
        store.read("shadow.json", 100)


@pytest.mark.parametrize("bucket", ["a\0b", "\udcff\0"])
def test_what_is_no_path(jobs: Path, bucket: str) -> None:
    with pytest.raises(SpecError, match=r"StorageConfig\.Bucket: not the path of a folder"):
        folder(bucket, jobs)


def test_a_cycle_of_links(jobs: Path) -> None:
    with pytest.raises(SpecError, match=r"not the path of a folder|is not below"):
        folder("cycle/../..", jobs)
