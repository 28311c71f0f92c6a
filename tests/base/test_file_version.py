"""Every change of a file is noticed, whoever makes it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from owtmix.base import asked_again
from owtmix.base.errors import ChangedError, InputError, ShortageError
from owtmix.base.file_version import file_version, unchanged
from tests.support.changes import CHANGES


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_was_read_while_a_file_changed_does_not_count(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(bytes(1000))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    version = file_version(path)
    with unchanged(path, version):
        path.read_bytes()
    with pytest.raises(ChangedError, match="changed, replaced or removed"), unchanged(path, version):
        change(path)
    with pytest.raises(ChangedError), unchanged(path, version):
        raise ValueError("it cannot be decoded")
    with pytest.raises(ChangedError), unchanged(path, version):
        path.read_bytes()


def test_errors_in_a_file_that_did_not_change_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.touch()
    with pytest.raises(ValueError, match="damaged"), unchanged(path, file_version(path)):
        raise ValueError("damaged")


def test_nothing_is_expected_of_a_file_without_a_version_but_that_it_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_text("before")
    with unchanged(path, None) as name:
        path.write_text("after")
        assert name.read_text() == "after"
    os.mkfifo(tmp_path / "pipe")
    for other, reason in (("none", "No such file"), ("pipe", "it is no file"), (".", "it is no file")):
        with pytest.raises(InputError, match=f"cannot be read: {reason}"), unchanged(tmp_path / other, None):
            pass


def test_what_was_opened_is_read_whatever_stands_in_its_place_meanwhile(tmp_path: Path) -> None:
    """A folder that was swapped away and back had another file's measurement kept under the version of this one."""
    path, other = tmp_path / "room" / "a.webm", tmp_path / "other"
    for folder in (path.parent, other):
        folder.mkdir()
        (folder / path.name).write_text(folder.name)
    with unchanged(path, file_version(path)) as name:
        path.parent.rename(tmp_path / "away")
        other.rename(path.parent)
        assert (path.read_text(), name.read_text()) == ("other", "room")
    with pytest.raises(ChangedError), unchanged(path, file_version(tmp_path / "away" / path.name)):
        pass


def test_a_file_that_is_away_only_for_a_moment_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was blamed with "Permission denied" when a folder stood there that could not be read."""
    path = tmp_path / "a.webm"
    path.write_text("it")
    version, opened, tries = file_version(path), os.open, []

    def refused_twice(*arguments: Any) -> int:
        tries.append(arguments)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(*arguments)

    monkeypatch.setattr(os, "open", refused_twice)
    with unchanged(path, version) as name:
        assert name.read_text() == "it"


@pytest.mark.parametrize("call", ["open", "fstat"])
def test_what_the_system_fails_to_tell_is_asked_again_and_is_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.webm"
    path.write_text("whole")
    version = file_version(path)
    monkeypatch.setattr(asked_again, "PAUSES_S", (0.0, 0.0, 0.0))
    ordinary, left = getattr(os, call), 0

    def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise OSError(number, os.strerror(number))
        return ordinary(*arguments, **options)

    def read() -> str:
        with unchanged(path, version) as name:
            return (path if call == "open" else name).read_text()

    monkeypatch.setattr(f"owtmix.base.file_version.os.{call}", failing)
    for number, left in product((errno.EIO, errno.ENOMEM, errno.ETIMEDOUT), (1, 3)):  # noqa: B007 - it is read above
        assert read() == "whole"
    number, left = errno.EIO, 4
    with pytest.raises(InputError, match="cannot be read: Input/output error") as caught:
        read()
    assert not isinstance(caught.value, ChangedError)
    number, left = errno.ENOMEM, 4
    with pytest.raises(ShortageError, match="memory is short"):
        read()
