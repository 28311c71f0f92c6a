"""Measuring what a card carries; no card is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.lab.capacity import main, rates_from, room_of, samples, tables
from owtmix.batch.capacity import ASSUMED, Room
from owtmix.workers.card_list import CardList, ListedCard, NoAnswerError

L4 = ListedCard("GPU-1", "NVIDIA L4", 23_034)


def picture(size: str, used_to_s: float | None, begin_s: float = 0.0) -> dict[str, Any]:
    span = {"start": begin_s, "end": 90.0}
    return {"picture": {"sizes": [size], "rates_hz": [1.0, 30.0, 60.0], "span": span, "used_to_s": used_to_s}}


def test_a_report_tells_what_the_job_was() -> None:
    inputs = [picture("640x360", 60.0), picture("1280x720", 60.0, 30.0), picture("64x64", None), {"picture": None}]
    room = room_of({"inputs": inputs, "duration_s": 60.0, "frames": 900}, 1920 * 1080)
    assert (room.streams, room.stream_fps, room.output_fps, room.output_px) == (1.5, 30.0, 15.0, 1920 * 1080)
    assert room.stream_px == pytest.approx((2 * 640 * 360 + 1280 * 720) / 3)
    silent = room_of({"inputs": [], "duration_s": 10.0, "frames": 10}, 100)
    assert (silent.streams, silent.output_fps) == (0, 1.0)


def test_engines_are_looked_at_while_the_job_runs() -> None:
    answers = iter(["50, 25\n", "[N/A], [N/A]\n", "", "100, 75\n"])

    def look() -> str:
        if answer := next(answers):
            return answer
        raise NoAnswerError("no")

    runs = iter([True] * 4 + [False])
    assert list(samples(lambda: next(runs), look, lambda _: None)) == [(0.5, 0.25), (1.0, 0.75)]


def test_rates_follow_from_samples() -> None:
    room = Room(2, 1e6, 30, 500_000, 15)
    rates = rates_from(L4, room, 600.0, 60.0, [(0.2, 0.1), (0.4, 0.1)], 30.0)
    assert rates.alone == 10
    assert rates.decoded_px_s == pytest.approx(600 * 2e6 * 30 / (60 * 0.3 * 4))
    assert rates.encoded_px_s == pytest.approx(600 * 500_000 * 15 / (60 * 0.1 * 2))
    assert rates_from(L4, room, 600.0, 60.0, [], 0.0).decoded_px_s == ASSUMED.decoded_px_s


def test_the_table_has_every_room() -> None:
    assert all("GeForce RTX 4090" in table for table in tables())


def test_without_a_card_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.lab.capacity.list_cards", lambda: CardList((), "there is none"))
    with pytest.raises(SystemExit, match="there is none"):
        main(["--measure", "cfg.json"])


def test_what_was_measured_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.lab.capacity.list_cards", lambda: CardList((L4,)))
    monkeypatch.setattr("benchmarks.lab.capacity.measure", lambda _card, _job: ASSUMED)
    main(["--measure", "cfg.json", "--state", str(tmp_path)])
    assert "card-rates.json" in capsys.readouterr().out
