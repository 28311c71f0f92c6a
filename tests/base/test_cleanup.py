"""Removal of temporary files at the end of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from owtmix.base.cleanup import TemporaryPaths


def test_registered_files_and_folders_are_removed_and_finished_files_kept(tmp_path: Path) -> None:
    temporary = TemporaryPaths()
    kept, half, chunks = tmp_path / "kept.mp4", tmp_path / "half.mp4", tmp_path / "chunks"
    for path in (temporary.add(kept), temporary.add(half)):
        path.write_text("")
    temporary.add(chunks).mkdir()
    (chunks / "1.mp4").write_text("")
    temporary.add(tmp_path / "never made")
    temporary.discard(kept)
    temporary.remove_all()
    assert list(tmp_path.iterdir()) == [kept]


def test_a_path_that_cannot_be_removed_is_logged_and_the_others_are_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file stands where the folder of ``b.mp4`` should be."""
    temporary = TemporaryPaths()
    file = tmp_path / "file"
    file.write_text("")
    temporary.add(tmp_path / "a.mp4").write_text("")
    temporary.add(file / "b.mp4")
    temporary.add(tmp_path / "c.mp4").write_text("")
    with caplog.at_level(logging.WARNING):
        temporary.remove_all()
    assert list(tmp_path.iterdir()) == [file]
    assert "b.mp4 (Not a directory)" in caplog.text
