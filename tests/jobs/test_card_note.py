"""The card of a job, noted for its next run."""

from __future__ import annotations

from pathlib import Path

from owtmix.jobs.card_note import NAME, note_card, read_card


def test_the_next_run_finds_the_card(tmp_path: Path) -> None:
    assert read_card(tmp_path) == ""
    note_card(tmp_path, "GPU-0")
    note_card(tmp_path, "GPU-1")
    note_card(tmp_path, "")  # the CPU, or a card that nobody knows
    assert read_card(tmp_path) == "GPU-1"


def test_what_cannot_be_read_or_written_is_no_error(tmp_path: Path) -> None:
    assert read_card(tmp_path / "gone") == ""
    note_card(tmp_path / "gone", "GPU-0")
    (tmp_path / NAME).symlink_to(tmp_path)
    assert read_card(tmp_path) == ""
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).write_bytes(b"\xff" * 1000)
    assert read_card(tmp_path) == ""
    note_card(tmp_path, "GPU-0")
    assert read_card(tmp_path) == "GPU-0"
