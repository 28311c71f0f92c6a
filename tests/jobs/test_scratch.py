"""The folder of a plan or preview is gone when its process ends, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError
from owtmix.jobs.scratch import remove_abandoned_scratch, scratch_folder

HOLDER = """
import sys
from pathlib import Path
from owtmix.jobs.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "recording").write_bytes(b"fetched")
    print(folder, flush=True)
    sys.stdin.read()
"""
LONGEST_S = 20.0
"""For a shell to remove a folder, on a busy machine."""


def hold(state: Path) -> tuple[subprocess.Popen[str], Path]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    return holder, Path(holder.stdout.readline().strip())


def is_empty(folder: Path) -> bool:
    end = time.monotonic() + LONGEST_S
    while any(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(folder.iterdir())


def test_it_is_private_and_removed_at_the_end(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder, scratch_folder(tmp_path) as another:
        (folder / "recording").write_bytes(b"fetched")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder != another
    assert not list((tmp_path / "work").iterdir())


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    holder, folder = hold(tmp_path)
    with holder:
        assert (folder / "recording").exists()
        holder.kill()
    assert is_empty(tmp_path / "work")


def test_the_next_start_removes_what_even_the_shell_could_not(tmp_path: Path) -> None:
    holder, folder = hold(tmp_path)
    with holder:
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text(encoding="ascii").split()
        for shell in children:
            os.kill(int(shell), signal.SIGKILL)
        remove_abandoned_scratch(tmp_path)
        assert (folder / "recording").exists()  # its process lives
        holder.kill()
        holder.wait()
        assert (folder / "recording").exists()
        remove_abandoned_scratch(tmp_path)
    assert not folder.exists()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "folder"
    target.mkdir(parents=True)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".scratch").symlink_to(target.parent)
    remove_abandoned_scratch(tmp_path)
    with pytest.raises(DestinationError, match="a link stands in the place of a folder"), scratch_folder(tmp_path):
        pass
    assert target.is_dir()


def test_a_place_that_takes_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("")
    with pytest.raises(DestinationError, match="cannot be made"), scratch_folder(tmp_path):
        pass
