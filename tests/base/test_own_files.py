"""Files of the tool's own are private, appear whole, and nothing in their place is followed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from owtmix.base.own_files import own_file, read_own, remove, write_whole

STOPPED = """
import os, signal, sys
from pathlib import Path
from owtmix.base import own_files
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "before":
    os.link = kill
else:
    real = os.link
    os.link = lambda *a, **k: (real(*a, **k), kill())
own_files.write_whole(Path(sys.argv[1]), b"whole")
"""


def test_a_file_is_private_even_where_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    with open(path, "ab", opener=own_file) as file:
        file.write(b" and new")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_own(path, 100) == b"old and new"


@pytest.mark.parametrize("mode", ["rb", "ab", "wb", "r+b"])
@pytest.mark.parametrize("kind", ["link", "second name", "pipe", "folder", "device"])
def test_nothing_else_is_opened(tmp_path: Path, kind: str, mode: str) -> None:
    target, path = tmp_path / "target", tmp_path / "file"
    target.write_text("precious")
    match kind:
        case "link":
            path.symlink_to(target)
        case "second name":
            path.hardlink_to(target)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path = Path("/dev/zero")
    with pytest.raises(OSError, match=r"stands in the place of a file|Is a directory"):
        open(path, mode, opener=own_file).close()
    assert target.read_text() == "precious"


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(OSError, match="larger than 1,000 bytes"):
        read_own(path, 1000)


@pytest.mark.parametrize("there", [True, False])
def test_a_file_is_written_whole_in_place_of_another(tmp_path: Path, *, there: bool) -> None:
    path = tmp_path / "file"
    if there:
        path.write_bytes(b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    write_whole(path, b"for all", 0o666)
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_link_is_replaced_and_a_folder_is_not(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "file"
    target.write_text("precious")
    path.symlink_to(target)
    write_whole(path, b"new")
    assert (target.read_text(), path.read_bytes()) == ("precious", b"new")
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(path, b"new")
    assert path.is_dir()


def test_a_file_system_without_nameless_files_gets_whole_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("owtmix.base.own_files._NAMELESS", 0)
    write_whole(tmp_path / "file", b"old")
    write_whole(tmp_path / "file", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize(("when", "left"), [("before", []), ("after", ["file"])])
def test_a_process_that_is_killed_meanwhile_leaves_nothing_half_written(
    tmp_path: Path, when: str, left: list[str]
) -> None:
    subprocess.run([sys.executable, "-c", STOPPED, str(tmp_path / "file"), when], check=False)
    assert [entry.name for entry in tmp_path.iterdir()] == left


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def test_a_folder_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    """Which code in a worker may make, with names that are in the way."""
    top = tmp_path / "top"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        for name in (".0.removed", "d"):
            os.mkdir(name, dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=at))
    os.close(at)
    remove(top)
    assert not top.exists()


def test_a_folder_that_nobody_may_enter_is_removed(tmp_path: Path) -> None:
    inner = tmp_path / "top" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (inner / "link").symlink_to(elsewhere)
    inner.chmod(0)
    remove(tmp_path / "top")
    assert not (tmp_path / "top").exists()
    assert elsewhere.exists()


AS_NOBODY = """
import os, sys
from pathlib import Path
from owtmix.base.own_files import remove
if os.getuid() == 0:
    os.setuid(65534)
top = Path(sys.argv[1]) / "top"
deepest = top / "a" / "b" / "c"
deepest.mkdir(parents=True)
for folder in (deepest, deepest.parent, deepest.parent.parent, top):
    folder.chmod(0)
remove(top)
print(top.exists())
"""


def test_folders_that_their_owner_has_locked_are_removed_without_root() -> None:
    """Which a taken-over worker may leave; root may enter them anyway."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        done = subprocess.run([sys.executable, "-c", AS_NOBODY, folder], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
