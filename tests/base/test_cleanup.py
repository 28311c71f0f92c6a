"""Removal of temporary files at the end of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from owtmix.base.cleanup import TemporaryPaths


def test_registered_files_and_folders_are_removed_and_finished_files_kept(tmp_path: Path) -> None:
    scratch = TemporaryPaths()
    kept, half, chunks = tmp_path / "kept.mp4", tmp_path / "half.mp4", tmp_path / "chunks"
    for path in (scratch.add(kept), scratch.add(half)):
        path.write_text("")
    scratch.add(chunks).mkdir()
    (chunks / "1.mp4").write_text("")
    scratch.add(tmp_path / "never made")
    scratch.discard(kept)
    scratch.remove_all()
    assert list(tmp_path.iterdir()) == [kept]


def test_a_path_that_cannot_be_removed_is_logged_and_the_others_are_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = TemporaryPaths()
    for name in ("a.mp4", "b.mp4"):
        scratch.add(tmp_path / name).write_text("")
    unlink = Path.unlink

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == "b.mp4":
            raise PermissionError(1, "not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with caplog.at_level(logging.WARNING):
        scratch.remove_all()
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]
    assert "b.mp4 (not permitted)" in caplog.text
