"""Hisui's binary comes out of its wheel, and who cannot run it says why."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from benchmarks.lab import hisui

RUNS = "#!/bin/sh\necho hisui 1\n"
TOO_NEW = "#!/bin/sh\necho \"hisui: version 'GLIBC_2.34' not found\" >&2\nexit 1\n"


def wheel(folder: Path, program: str) -> Path:
    path = folder / f"hisui-{hisui.VERSION}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        archive.writestr("hisui/__init__.py", "")
        archive.writestr(f"hisui-{hisui.VERSION}.data/scripts/hisui", program)
    return path


def test_the_binary_is_taken_out_of_the_wheel_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetches: list[list[str]] = []

    def download(command: list[str], **_: Any) -> None:
        fetches.append(command)
        wheel(Path(command[command.index("--dest") + 1]), RUNS)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", download)
        found = [hisui.fetched(tmp_path / "cache") for _ in range(2)]
    assert found == [tmp_path / "cache" / f"hisui-{hisui.VERSION}"] * 2
    assert len(fetches) == 1
    assert "--no-deps" in fetches[0]
    assert list((tmp_path / "cache").iterdir()) == found[:1]
    assert not hisui.why_not(found[0])


def test_a_binary_that_does_not_run_says_why(tmp_path: Path) -> None:
    binary = tmp_path / "hisui"
    hisui.extract(wheel(tmp_path, TOO_NEW), binary)
    assert os.access(binary, os.X_OK)
    assert hisui.why_not(binary) == "hisui: version 'GLIBC_2.34' not found"
    assert "No such file" in hisui.why_not(tmp_path / "nothing")


def test_without_its_wheel_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", fail)
        patch.setattr(hisui, "is_steady", lambda _: True)
        case: Any = type("Case", (), {"plan": None})
        assert hisui.engine(tmp_path).missing(case) == "cannot be fetched"
