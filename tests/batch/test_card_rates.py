"""Rates that were measured are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from owtmix.batch.capacity import ASSUMED
from owtmix.batch.card_rates import FILE, read_rates, write_rates


def test_rates_are_kept_by_model(tmp_path: Path) -> None:
    assert read_rates(tmp_path) == {}
    write_rates(tmp_path, "L4", ASSUMED)
    write_rates(tmp_path, "T4", replace(ASSUMED, alone=3))
    write_rates(tmp_path, "L4", replace(ASSUMED, alone=5.5))
    assert read_rates(tmp_path) == {"L4": replace(ASSUMED, alone=5.5), "T4": replace(ASSUMED, alone=3)}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"L4": {}}', '{"L4": 5}', '{"L4": {"alone": 1}}', "[" * 100_000, "é"],
)
def test_a_file_that_makes_no_sense_is_not_used(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    assert read_rates(tmp_path) == {}
    assert "is not used" in caplog.text


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity", "true", '"1"', "null"])
def test_a_rate_is_a_positive_number(tmp_path: Path, value: str) -> None:
    write_rates(tmp_path, "L4", ASSUMED)
    path = tmp_path / FILE
    path.write_text(path.read_text(encoding="utf-8").replace("25.0", value), encoding="utf-8")
    assert read_rates(tmp_path) == {}
