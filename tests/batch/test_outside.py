"""Numbers from outside, and files that metrics must not replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from owtmix.batch.metrics import check_metrics_file
from owtmix.batch.outside import LARGEST, mib_of, number_of, status_of
from owtmix.batch.problems import QueueError


@pytest.mark.parametrize("value", [True, None, "1", -1, float("nan"), float("inf"), [1], -(10**400)])
def test_what_is_no_number(value: object) -> None:
    assert number_of(value) is None


def test_numbers_are_cut_to_the_largest() -> None:
    """A float holds no integer of 400 digits."""
    assert (number_of(0), number_of(2.5), number_of(10**400), number_of(7, 3)) == (0.0, 2.5, LARGEST, 3.0)


def test_sizes_and_statuses_are_those_of_processes() -> None:
    assert [mib_of(value) for value in (300, 2.5, 10**400, -1, "x", None)] == [300, 2, 10_000_000, 0, 0, 0]
    assert [status_of(value) for value in (0, 255, -64)] == [0, 255, -64]
    for value in (True, None, 0.0, 1e400, 256, -65, 10**30, "0"):
        with pytest.raises(ValueError, match="no exit status"):
            status_of(value)


def test_metrics_replace_nothing_but_metrics(tmp_path: Path) -> None:
    check_metrics_file(tmp_path / "new.prom")
    for content in ("", "# HELP owtmix_batch_jobs_total x\n"):
        (tmp_path / "old.prom").write_text(content)
        check_metrics_file(tmp_path / "old.prom")
    (tmp_path / "other.prom").write_text("# HELP node_load x\n")
    (tmp_path / "folder.prom").mkdir()
    (tmp_path / "link.prom").symlink_to(tmp_path / "old.prom")
    (tmp_path / "recording.webm").write_text("")
    for name in ("other.prom", "folder.prom", "link.prom", "recording.webm"):
        with pytest.raises(QueueError):
            check_metrics_file(tmp_path / name)
    with pytest.raises(QueueError):
        check_metrics_file(Path("/"))
