"""Finished tracks are found by the next run; incomplete or damaged ones are not."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError, RenderError
from owtmix.produce.chunk_cache import LONGEST_LINE, ChunkCache, SourceLoss

MOST_BYTES = 1000
LOSS = SourceLoss("a file", Fraction(7, 3), is_sound=True, message="it breaks")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made"
    path.write_bytes(b"picture")
    return path


def test_a_track_is_found_again_by_the_next_run(tmp_path: Path, made: Path) -> None:
    ChunkCache(tmp_path / "chunks").add("key", made, {"seen": {"0": 1}}, ("a warning",), MOST_BYTES)
    assert not made.exists()
    found = ChunkCache(tmp_path / "chunks").find("key")
    assert found
    assert (found.path.read_bytes(), found.result, found.warnings) == (b"picture", {"seen": {"0": 1}}, ("a warning",))
    assert ChunkCache(tmp_path / "chunks").find("another") is None


def test_who_holds_a_file_open_that_was_taken_over_changes_nothing(tmp_path: Path, made: Path) -> None:
    """A worker that a recording has taken over opens what others make, and waits."""
    with made.open("r+b") as held:
        track = ChunkCache(tmp_path / "chunks").add("key", made, None, (), MOST_BYTES)
        held.write(b"another")
    assert track.path.read_bytes() == b"picture"
    assert ChunkCache(tmp_path / "chunks").find("key")


def test_a_track_that_grows_while_it_is_taken_over_is_not_copied_for_ever(tmp_path: Path, made: Path) -> None:
    cache = ChunkCache(tmp_path / "chunks")
    os.truncate(made, MOST_BYTES + 1)
    with pytest.raises(RenderError, match="more than 1,000 bytes"):
        cache.add("key", made, None, (), MOST_BYTES)
    assert not made.exists()
    assert cache.find("key") is None
    assert [path.name for path in (tmp_path / "chunks").iterdir()] == []


def test_losses_of_sources_are_found_by_the_next_run(tmp_path: Path) -> None:
    ChunkCache(tmp_path / "chunks").add_loss(LOSS)
    assert ChunkCache(tmp_path / "chunks").losses == [LOSS]


@pytest.mark.parametrize("damage", [b"pictura", b"", None])
def test_a_damaged_or_missing_track_is_not_found(tmp_path: Path, made: Path, damage: bytes | None) -> None:
    track = ChunkCache(tmp_path / "chunks").add("key", made, None, (), MOST_BYTES)
    if damage is None:
        track.path.unlink()
    else:
        track.path.write_bytes(damage)
    assert ChunkCache(tmp_path / "chunks").find("key") is None


def test_a_truncated_manifest_keeps_its_complete_entries(tmp_path: Path, made: Path) -> None:
    folder = tmp_path / "chunks"
    ChunkCache(folder).add("first", made, None, (), MOST_BYTES)
    made.write_bytes(b"more")
    ChunkCache(folder).add("second", made, None, (), MOST_BYTES)
    manifest = folder / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    found = ChunkCache(folder)
    assert found.find("first")
    assert found.find("second") is None
    assert not (folder / "second").exists()
    made.write_bytes(b"again")
    found.add("second", made, None, (), MOST_BYTES)
    assert {name for name in ("first", "second") if ChunkCache(folder).find(name)} == {"first", "second"}


JUNK = {
    "binary": b"\xff\xfe",
    "a list": b"[]",
    "nothing": b"{}",
    "a lone key": b'{"track": "key"}',
    "warnings of a wrong type": b'{"track": "key", "digest": "", "result": null, "warnings": 7}',
    "a key of a wrong type": b'{"track": 7, "digest": "", "result": null, "warnings": []}',
    "a lone loss": b'{"lost": "x"}',
    "a time below nothing": b'{"lost": "x", "from": "1/0", "sound": true, "why": ""}',
    "a time of absurd digits": b'{"lost": "x", "from": "1e999999999", "sound": true, "why": ""}',
    "a time that is a number": b'{"lost": "x", "from": NaN, "sound": true, "why": ""}',
    "a version of a wrong type": b'{"lost": {}, "from": "1", "sound": true, "why": ""}',
    "deep": b"[" * 100_000,
    "many digits": b"9" * 100_000,
    "a long line": b'{"track": "' + b"x" * LONGEST_LINE + b'"}',
    "another program's": b'{"version": 99}',
}


@pytest.mark.parametrize("invalid", JUNK.values(), ids=JUNK)
def test_invalid_lines_of_the_manifest_are_skipped_with_one_warning(
    tmp_path: Path, made: Path, invalid: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "chunks"
    folder.mkdir()
    (folder / "manifest.jsonl").write_bytes(invalid + b"\n")
    assert ChunkCache(folder).find("key") is None
    assert "1 of the lines of" in caplog.text
    caplog.clear()
    cache = ChunkCache(folder)
    cache.add("key", made, None, (), MOST_BYTES)
    cache.add_loss(LOSS)
    with (folder / "manifest.jsonl").open("ab") as manifest:
        manifest.write(invalid + b"\n")
    assert ChunkCache(folder).find("key")
    assert ChunkCache(folder).losses == [LOSS]
    assert caplog.text.count("1 of the lines of") == 1
    assert ChunkCache(folder).size_bytes(["key", "another"]) == len(b"picture")
    assert ChunkCache(folder).size_bytes(["another"]) == 0


def test_what_is_no_manifest_is_begun_anew(tmp_path: Path, made: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, target = tmp_path / "chunks", tmp_path / "target"
    target.write_text("precious")
    manifest = folder / "manifest.jsonl"
    ChunkCache(folder)
    for kind in ("huge", "link", "pipe", "folder"):
        match kind:
            case "huge":
                manifest.touch()
                os.truncate(manifest, 1 << 40)
            case "link":
                manifest.symlink_to(target)
            case "pipe":
                os.mkfifo(manifest)
            case _:
                manifest.mkdir()
        made.write_bytes(b"picture")
        caplog.clear()
        assert ChunkCache(folder).add("key", made, None, (), MOST_BYTES)
        assert "everything is made again" in caplog.text
        assert ChunkCache(folder).find("key")
        manifest.unlink()
    assert target.read_text() == "precious"


def test_a_track_that_is_a_link_is_neither_taken_nor_found(tmp_path: Path, made: Path) -> None:
    cache = ChunkCache(tmp_path / "chunks")
    link = tmp_path / "link"
    link.symlink_to(made)
    with pytest.raises(DestinationError, match="a link stands in the place of a file"):
        cache.add("key", link, None, (), MOST_BYTES)
    track = cache.add("key", made, None, (), MOST_BYTES)
    track.path.rename(made)
    track.path.symlink_to(made)
    assert cache.find("key") is None


def test_only_their_owner_can_read_tracks(tmp_path: Path, made: Path) -> None:
    made.chmod(0o644)
    track = ChunkCache(tmp_path / "chunks").add("key", made, None, (), MOST_BYTES)
    modes = [
        path.stat().st_mode & 0o777 for path in (track.path, track.path.parent, track.path.parent / "manifest.jsonl")
    ]
    assert modes == [0o600, 0o700, 0o600]


@pytest.mark.parametrize("change", ["removed", "a file", "a link"])
def test_a_folder_that_is_gone_is_the_disk_s_error(tmp_path: Path, made: Path, change: str) -> None:
    folder = tmp_path / "chunks"
    cache = ChunkCache(folder)
    cache.add("key", made, None, (), MOST_BYTES)
    shutil.rmtree(folder)
    if change == "a file":
        folder.write_text("")
    if change == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    made.write_bytes(b"more")
    assert cache.find("key") is None
    assert cache.size_bytes(["key"]) == 0
    with pytest.raises(DestinationError, match="cannot be written"):
        cache.add("another", made, None, (), MOST_BYTES)
    with pytest.raises(DestinationError, match="cannot be written"):
        cache.add_loss(LOSS)
    assert not list(tmp_path.glob("elsewhere/*"))


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "chunks").write_bytes(b"")
    with pytest.raises(DestinationError, match="cannot be used"):
        ChunkCache(tmp_path / "chunks")
