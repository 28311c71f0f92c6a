"""Files that people name are plain files of a bounded size, or an error at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from owtmix.base.named_file import is_file, is_folder, read_named_file, unfit_path, why_no_file


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "pipe", "folder", "missing", "a\0b", "n" * 300, "\ud800"])
def test_anything_but_a_plain_file_is_an_error_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its phrase is what a message needs
        read_named_file(tmp_path / name, 10)
    assert caught.value.strerror


def test_no_more_than_one_byte_beyond_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 1 << 40)
    assert read_named_file(path, 10) == bytes(11)
    os.truncate(path, 3)
    assert read_named_file(path, 10) == bytes(3)


def test_a_link_that_a_person_made_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_named_file(tmp_path / "link", 10) == b"content"


@pytest.mark.parametrize("path", ["room/a.webm", "/" + "n" * 255, "b" * 200 + "/" + "c" * 200, "é/张三", "\udcff"])
def test_a_path_that_a_file_can_have(path: str) -> None:
    assert not unfit_path(path)


@pytest.mark.parametrize("path", ["a\0b", "n" * 256, "张" * 100, "ab/" * 1400, "\ud800"])
def test_a_path_that_no_file_can_have(path: str) -> None:
    assert unfit_path(path)


def test_no_path_is_an_error_for_who_asks_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_file(tmp_path / "file")
    assert is_folder(tmp_path)
    assert not why_no_file(tmp_path / "file")
    for name in ("missing", "file/in", "n" * 300, "a/" * 3000, "a\0b", "\ud800"):
        assert not is_file(tmp_path / name)
        assert not is_folder(tmp_path / name)
        assert why_no_file(tmp_path / name)
    assert why_no_file(tmp_path) == "is not a file"
