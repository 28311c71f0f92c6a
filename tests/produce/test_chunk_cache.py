"""Finished tracks are found by the next run; incomplete or damaged ones are not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError
from owtmix.produce.chunk_cache import ChunkCache, SourceLoss

LOSS = SourceLoss("a file", Fraction(7, 3), is_sound=True, message="it breaks")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made"
    path.write_bytes(b"picture")
    return path


def test_a_track_is_found_again_by_the_next_run(tmp_path: Path, made: Path) -> None:
    ChunkCache(tmp_path / "chunks").add("key", made, {"seen": {"0": 1}}, ("a warning",))
    assert not made.exists()
    found = ChunkCache(tmp_path / "chunks").find("key")
    assert found
    assert (found.path.read_bytes(), found.result, found.warnings) == (b"picture", {"seen": {"0": 1}}, ("a warning",))
    assert ChunkCache(tmp_path / "chunks").find("another") is None


def test_losses_of_sources_are_found_by_the_next_run(tmp_path: Path) -> None:
    ChunkCache(tmp_path / "chunks").add_loss(LOSS)
    assert ChunkCache(tmp_path / "chunks").losses == [LOSS]


@pytest.mark.parametrize("damage", [b"pictura", b"", None])
def test_a_damaged_or_missing_track_is_not_found(tmp_path: Path, made: Path, damage: bytes | None) -> None:
    track = ChunkCache(tmp_path / "chunks").add("key", made, None, ())
    if damage is None:
        track.path.unlink()
    else:
        track.path.write_bytes(damage)
    assert ChunkCache(tmp_path / "chunks").find("key") is None


def test_a_truncated_manifest_keeps_its_complete_entries(tmp_path: Path, made: Path) -> None:
    folder = tmp_path / "chunks"
    ChunkCache(folder).add("first", made, None, ())
    made.write_bytes(b"more")
    ChunkCache(folder).add("second", made, None, ())
    manifest = folder / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    found = ChunkCache(folder)
    assert found.find("first")
    assert found.find("second") is None
    assert not (folder / "second").exists()
    made.write_bytes(b"again")
    found.add("second", made, None, ())
    assert {name for name in ("first", "second") if ChunkCache(folder).find(name)} == {"first", "second"}


@pytest.mark.parametrize(
    "invalid",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"track": "key"}\n',
        b'{"track": "key", "digest": "", "result": null, "warnings": 7}\n',
        b'{"lost": "x"}\n',
        b'{"lost": "x", "from": "1/0", "sound": true, "why": ""}\n',
        b"[" * 100_000 + b"\n",
    ],
    ids=range(8),
)
def test_invalid_lines_of_the_manifest_are_ignored(tmp_path: Path, made: Path, invalid: bytes) -> None:
    folder = tmp_path / "chunks"
    folder.mkdir()
    (folder / "manifest.jsonl").write_bytes(invalid)
    assert ChunkCache(folder).find("key") is None
    ChunkCache(folder).add("key", made, None, ())
    assert ChunkCache(folder).find("key")
    assert ChunkCache(folder).size_bytes(["key", "another"]) == len(b"picture")
    assert ChunkCache(folder).size_bytes(["another"]) == 0


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "chunks").write_bytes(b"")
    with pytest.raises(DestinationError, match="cannot be used"):
        ChunkCache(tmp_path / "chunks")
