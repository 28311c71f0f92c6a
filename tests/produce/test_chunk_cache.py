"""What is finished stays, whole or not at all, whatever kills the process that made it."""

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


def test_a_piece_is_found_again_by_the_next_run(tmp_path: Path, made: Path) -> None:
    ChunkCache(tmp_path / "shelf").keep("key", made, {"seen": {"0": 1}}, ("a warning",))
    assert not made.exists()
    found = ChunkCache(tmp_path / "shelf").find("key")
    assert found
    assert (found.path.read_bytes(), found.told, found.warnings) == (b"picture", {"seen": {"0": 1}}, ("a warning",))
    assert ChunkCache(tmp_path / "shelf").find("another") is None


def test_what_was_lost_is_remembered(tmp_path: Path) -> None:
    ChunkCache(tmp_path / "shelf").lose(LOSS)
    assert ChunkCache(tmp_path / "shelf").losses == [LOSS]


@pytest.mark.parametrize("damage", [b"pictura", b"", None])
def test_a_piece_that_is_not_what_was_made_is_none(tmp_path: Path, made: Path, damage: bytes | None) -> None:
    piece = ChunkCache(tmp_path / "shelf").keep("key", made, None, ())
    if damage is None:
        piece.path.unlink()
    else:
        piece.path.write_bytes(damage)
    assert ChunkCache(tmp_path / "shelf").find("key") is None


def test_a_manifest_that_was_cut_keeps_what_was_whole(tmp_path: Path, made: Path) -> None:
    shelf = tmp_path / "shelf"
    ChunkCache(shelf).keep("first", made, None, ())
    made.write_bytes(b"more")
    ChunkCache(shelf).keep("second", made, None, ())
    manifest = shelf / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    found = ChunkCache(shelf)
    assert found.find("first")
    assert found.find("second") is None
    assert not (shelf / "second").exists()
    made.write_bytes(b"again")
    found.keep("second", made, None, ())
    assert {name for name in ("first", "second") if ChunkCache(shelf).find(name)} == {"first", "second"}


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"piece": "key"}\n',
        b'{"piece": "key", "digest": "", "told": null, "warnings": 7}\n',
        b'{"lost": "x"}\n',
        b'{"lost": "x", "from": "1/0", "sound": true, "why": ""}\n',
        b"[" * 100_000 + b"\n",
    ],
    ids=range(8),
)
def test_rubbish_in_the_manifest_is_passed_over(tmp_path: Path, made: Path, rubbish: bytes) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "manifest.jsonl").write_bytes(rubbish)
    assert ChunkCache(shelf).find("key") is None
    ChunkCache(shelf).keep("key", made, None, ())
    assert ChunkCache(shelf).find("key")
    assert ChunkCache(shelf).size_bytes(["key", "another"]) == len(b"picture")
    assert ChunkCache(shelf).size_bytes(["another"]) == 0


def test_a_place_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "shelf").write_bytes(b"")
    with pytest.raises(DestinationError, match="cannot be used"):
        ChunkCache(tmp_path / "shelf")
