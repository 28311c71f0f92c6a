"""Paths that are walked part by part, without following a link."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from owtmix.base.beneath import open_file, open_folder, opened_folder, state_of

NO_LINK = "was replaced by a link meanwhile, which is not followed"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    path = tmp_path / "a" / "b" / "file"
    path.write_bytes(b"content")
    return path


def test_what_is_there_is_opened(file: Path) -> None:
    descriptor = open_file(file, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as opened:
        assert opened.read() == b"content"
    assert os.path.samestat(state_of(file), file.stat())
    with opened_folder(file.parent) as folder:
        assert os.path.samestat(os.fstat(folder), file.parent.stat())


def test_folders_that_are_missing_are_made_when_that_is_asked(file: Path) -> None:
    wanted = file.parent / "c" / "d"
    with pytest.raises(FileNotFoundError):
        open_folder(wanted)
    os.close(open_folder(wanted, make=True))
    os.close(open_folder(wanted, make=True))
    assert wanted.is_dir()


@pytest.mark.parametrize("name", ["a", "a/b"])
def test_a_folder_that_is_a_link_is_refused(file: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.rename(tmp_path / "aside")
    folder.symlink_to(tmp_path / "aside")
    with pytest.raises(OSError, match=f"{folder.name} {NO_LINK}"):
        open_file(file, os.O_RDONLY)
    with pytest.raises(OSError, match=f"{folder.name} {NO_LINK}"):
        state_of(file)
    with pytest.raises(OSError, match=f"{folder.name} {NO_LINK}"):
        open_folder(file.parent / "new", make=True)
    assert not list(tmp_path.rglob("new"))


def test_a_file_that_is_a_link_is_refused(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT):
        with pytest.raises(OSError, match=f"link {NO_LINK}"):
            open_file(link, flags)
    with pytest.raises(OSError, match=f"link {NO_LINK}"):
        state_of(link)


def test_what_is_no_folder_is_told_from_a_link(file: Path) -> None:
    with pytest.raises(NotADirectoryError, match="Not a directory"):
        open_file(file / "below", os.O_RDONLY)
    with pytest.raises(NotADirectoryError, match="Not a directory"):
        open_folder(file)


def test_a_pipe_is_not_waited_for(file: Path) -> None:
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    os.close(open_file(pipe, os.O_RDONLY))


def test_a_folder_that_may_only_be_entered_is_passed(file: Path) -> None:
    """As another user, since root may list every folder."""
    file.parent.chmod(0o711)
    file.chmod(0o644)
    program = f"""
import os
from pathlib import Path
from owtmix.base.beneath import open_file, state_of
if os.geteuid() == 0:
    os.seteuid(65534)
path = Path({str(file)!r})
os.read(open_file(path, os.O_RDONLY), 1)
print(state_of(path).st_size)
"""
    for folder in file.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "7\n", done.stderr


def test_no_descriptor_is_left_open(file: Path) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    (file.parent / "link").symlink_to(file)
    for path in (file, file.parent / "nothing", file.parent / "link", file / "below", file.parent.parent / "no" / "x"):
        with suppress(OSError):
            os.close(open_file(path, os.O_RDONLY))
        with suppress(OSError):
            state_of(path)
    assert sorted(Path("/proc/self/fd").iterdir()) == before
