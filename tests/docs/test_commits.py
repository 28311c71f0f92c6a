"""The check of commit messages in ``make check``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[2] / ".ci" / "check_commits.py"
LONGEST: Final = "Look at every file " + "é" * 53
OLD: Final = "2026-11-25T12:00:00+00:00"
NEW: Final = "2026-11-27T12:00:00+00:00"
ENVIRONMENT: Final = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    **{f"GIT_{who}_{what}": "ann@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}

if shutil.which("git") is None:
    pytest.skip("no git", allow_module_level=True)


def git(folder: Path, *arguments: str, date: str = NEW) -> str:
    command = ["git", "-C", str(folder), *arguments]
    environment = ENVIRONMENT | {"GIT_COMMITTER_DATE": date}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str, date: str = NEW) -> None:
    git(folder, "commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--message", message, date=date)


def copy_script(folder: Path) -> None:
    (folder / ".ci").mkdir(parents=True, exist_ok=True)
    shutil.copy(SCRIPT, folder / ".ci")


def check(folder: Path) -> tuple[int, str, str]:
    command = [sys.executable, str(folder / ".ci" / SCRIPT.name)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One whose first commit is older than the rule."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "x" * 200, OLD)
    copy_script(folder)
    return folder


def merge(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "side", "HEAD~1")
    commit(repository, "Work beside it\n\nSo that there is something to merge.")
    git(repository, "checkout", "--quiet", "main")
    git(repository, "merge", "--quiet", "--no-ff", "--message", "Merge " + "x" * 100, "side")


def test_short_subjects_and_merges_are_accepted(repository: Path) -> None:
    assert len(LONGEST) == 72
    commit(repository, f"{LONGEST}\n\nBecause each may be changed.\n")
    merge(repository)
    assert check(repository) == (0, "", "")


def test_a_long_subject_is_named(repository: Path) -> None:
    commit(repository, f"{LONGEST}!\n\nBecause.")
    name = git(repository, "rev-parse", "HEAD")
    status, _, told = check(repository)
    assert status == 1
    assert told.startswith(name[:7])
    assert "a subject of 73 characters; at most 72 are accepted: Look at every file" in told


def test_a_second_line_belongs_to_the_subject(repository: Path) -> None:
    commit(repository, f"{'x' * 40}\n{'y' * 40}\n\nBecause.")
    assert "a subject of 81 characters" in check(repository)[2]


def test_a_shallow_clone_is_checked_as_far_as_it_goes(repository: Path) -> None:
    commit(repository, "Do it\n\nBecause.")
    merge(repository)
    commit(repository, "Do more\n\nBecause.")
    clone = repository.parent / "clone"
    git(repository.parent, "clone", "--quiet", "--depth", "2", f"file://{repository}", str(clone))
    shutil.copytree(repository / ".ci", clone / ".ci")
    assert check(clone) == (0, "", ""), "it ends with the merge"
    commit(clone, "x" * 73 + "\n\nBecause.")
    assert check(clone)[0] == 1


def test_without_a_repository_a_line_says_so(tmp_path: Path) -> None:
    copy_script(tmp_path)
    status, told, _ = check(tmp_path)
    assert status == 0
    assert told.startswith("Commits are not checked: ")
    assert "not a git repository" in told


def test_a_repository_around_the_folder_is_another_one(repository: Path) -> None:
    commit(repository, "x" * 100)
    copy_script(repository / "inner")
    folder = repository / "inner"
    assert check(folder) == (0, f"Commits are not checked: {folder} has no repository of its own\n", "")
