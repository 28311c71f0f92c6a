"""Temporary files are gone however a run ends."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from owtmix.base.cleanup import TemporaryPaths


def test_scratch_forgets_what_was_finished_and_removes_folders_too(tmp_path: Path) -> None:
    scratch = TemporaryPaths()
    kept, half, pieces = tmp_path / "kept.mp4", tmp_path / "half.mp4", tmp_path / "pieces"
    for path in (scratch.add(kept), scratch.add(half)):
        path.write_text("")
    scratch.add(pieces).mkdir()
    (pieces / "1.mp4").write_text("")
    scratch.add(tmp_path / "never made")
    scratch.discard(kept)
    scratch.sweep()
    assert list(tmp_path.iterdir()) == [kept]


def test_what_cannot_be_removed_is_named_and_the_rest_is_removed(
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
        scratch.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]
    assert "b.mp4 (not permitted)" in caplog.text
