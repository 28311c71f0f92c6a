"""Every change of a file is noticed, whoever makes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from owtmix.base.errors import ChangedError
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


def test_nothing_is_expected_of_a_file_without_a_version(tmp_path: Path) -> None:
    with unchanged(tmp_path / "none", None):
        pass
