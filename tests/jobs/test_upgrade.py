"""A job that was stopped and goes on with another version of the tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.test_resume import ROOM, leave_chunks, run
from tests.support.command import Command, install, record_once


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """An installation of its own, which a test may change."""
    return install(tmp_path / "owtmix")


@pytest.mark.parametrize(
    ("path", "before", "after", "is_kept"),
    [
        ("cli/arguments.py", 'help="', 'help="In other words: ', True),
        ("compositor/scale.py", '"""', '"""Better: ', False),
    ],
)
def test_chunks_are_kept_unless_what_makes_them_changed(
    command: Command, tmp_path: Path, job_id: str, path: str, before: str, after: str, *, is_kept: bool
) -> None:
    job_file = ROOM.write(tmp_path / "room", job_id, record_once)
    leave_chunks(command, job_file, job_id, 2)
    module = command.root / "owtmix" / path
    text = module.read_text(encoding="utf-8")
    assert before in text
    module.write_text(text.replace(before, after, 1), encoding="utf-8")
    assert (run(command, job_file)["chunks"]["reused"] >= 2) == is_kept
