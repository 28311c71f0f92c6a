"""What runs leave in work/: kept for the next run of the same job, read by its owner only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from owtmix.base.errors import BusyError, DestinationError
from owtmix.jobs.work_folder import PARTS, open_work_folder


def abandon(work: Path) -> Path:
    recording = work / "inputs" / "recording"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"fetched")
    return recording


def precious(folder: Path) -> Path:
    target = folder / "elsewhere" / "target"
    target.parent.mkdir()
    target.parent.chmod(0o755)
    target.write_text("precious")
    target.chmod(0o644)
    return target


def test_what_a_killed_run_fetched_stays_for_the_next(tmp_path: Path) -> None:
    recording = abandon(tmp_path / "work" / "job")
    with open_work_folder(tmp_path, "job") as work:
        assert work == tmp_path / "work" / "job"
        assert (work / "tracks").is_dir()
    assert recording.read_bytes() == b"fetched"
    assert not (work / "tracks").exists()


def test_what_a_killed_run_had_half_made_takes_no_room(tmp_path: Path) -> None:
    half = tmp_path / "work" / "job" / "tracks" / "picture.mp4"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    with open_work_folder(tmp_path, "job"):
        assert not half.exists()


def test_a_run_of_another_container_is_kept_out(tmp_path: Path) -> None:
    """It has names of its own for sockets, but the same folder."""
    with open_work_folder(tmp_path, "job") as work:
        (work / "tracks" / "picture.mp4").write_bytes(b"half")
        with pytest.raises(BusyError, match="already running"), open_work_folder(tmp_path, "job"):
            pass
        assert (work / "tracks" / "picture.mp4").exists()
    with open_work_folder(tmp_path, "job"):
        pass


def test_a_run_that_fetched_nothing_leaves_nothing(tmp_path: Path) -> None:
    with open_work_folder(tmp_path, "job") as work:
        (work / "tracks" / "picture.mp4").write_bytes(b"half")
    assert not list((tmp_path / "work").iterdir())


def test_only_its_owner_can_read_it_whatever_the_umask_is(tmp_path: Path) -> None:
    left = abandon(tmp_path / "work" / "job")
    for path in (left.parents[1], left.parent):
        path.chmod(0o777)
    left.chmod(0o644)
    before = os.umask(0)
    try:
        with open_work_folder(tmp_path, "job") as work:
            folders = [work, *(work / name for name in PARTS)]
            assert [path.stat().st_mode & 0o777 for path in folders] == [0o700] * 4
            assert left.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("part", PARTS)
def test_a_link_in_place_of_a_part_is_replaced_and_not_followed(tmp_path: Path, part: str) -> None:
    target = precious(tmp_path)
    (tmp_path / "work" / "job").mkdir(parents=True)
    (tmp_path / "work" / "job" / part).symlink_to(target.parent)
    with open_work_folder(tmp_path, "job") as work:
        assert not (work / part).is_symlink()
        assert not list((work / part).iterdir())
    assert target.read_text() == "precious"
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("part", ["inputs", "chunks"])
def test_what_is_no_plain_file_of_its_own_does_not_stay(tmp_path: Path, part: str) -> None:
    target = precious(tmp_path)
    folder = tmp_path / "work" / "job" / part
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(target)
    (folder / "second name").hardlink_to(target)
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "folder" / "link").symlink_to(target.parent)
    (folder / "fetched").write_bytes(b"fetched")
    with open_work_folder(tmp_path, "job") as work:
        assert [path.name for path in (work / part).iterdir()] == ["fetched"]
    assert target.read_text() == "precious"
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", ["link", "file", "pipe"])
def test_what_stands_in_its_place_is_told_and_not_touched(tmp_path: Path, kind: str) -> None:
    target = precious(tmp_path)
    (tmp_path / "work").mkdir()
    work = tmp_path / "work" / "job"
    match kind:
        case "link":
            work.symlink_to(target.parent)
        case "file":
            work.write_bytes(b"")
        case _:
            os.mkfifo(work)
    refused = pytest.raises(DestinationError, match=r"job cannot be made: .* stands in the place of a folder")
    with refused, open_work_folder(tmp_path, "job"):
        pass
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.parent.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    left = abandon(tmp_path / "work" / "job")
    os.chown(left.parents[1], 4711, 4711)
    refused = pytest.raises(DestinationError, match=r"it belongs to another user \(4711\)")
    with refused, open_work_folder(tmp_path, "job"):
        pass


def test_a_place_that_takes_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "job").write_bytes(b"")
    with pytest.raises(DestinationError, match="cannot be made"), open_work_folder(tmp_path, "job"):
        pass
