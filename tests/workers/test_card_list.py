"""Which cards there are."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from owtmix.workers.card_list import (
    HIDDEN,
    NO_DRIVER,
    NO_EXTRA,
    ListedCard,
    NoAnswerError,
    ask_driver,
    list_cards,
    parse_cards,
    visible,
)

L4 = ListedCard("GPU-11111111-aaaa", "NVIDIA L4", 23_034, 22_565, "0000:3b:00.0")
T4 = ListedCard("GPU-22222222-bbbb", "Tesla T4", 15_360, 12, "0000:5e:00.0")
OLD = ListedCard("GPU-22223333-cccc", "Quadro K2", 0, 0, "000f:af:00.0")
ANSWER = """\
0, GPU-11111111-aaaa, NVIDIA L4, 23034, 22565, 00000000:3B:00.0
1, GPU-22222222-bbbb, Tesla T4, 15360, 12, 00000000:5E:00.0
2, GPU-22223333-cccc, Quadro K2, [N/A], [N/A], 0000000F:AF:00.0
"""


def test_an_answer_becomes_cards() -> None:
    assert parse_cards(ANSWER) == (L4, T4, OLD)


@pytest.mark.parametrize(
    "answer",
    ["", "No devices were found\n", "0, NVIDIA L4\n", "x, GPU-1, L4, 1, 1, 0:0\n", "0, GPU-1, L4, 1\n", '"0\n'],
)
def test_what_is_no_card_is_left_out(answer: str) -> None:
    assert parse_cards(answer) == ()


@pytest.mark.parametrize(
    ("shown", "cards"),
    [
        (None, (L4, T4, OLD)),
        ("", ()),
        ("-1", ()),
        ("none", ()),
        ("1", (T4,)),
        ("1,0", (T4, L4)),
        (" 0 , 2 ", (L4, OLD)),
        ("0,7,1", (L4,)),
        ("0,0", (L4,)),
        ("GPU-1", (L4,)),
        ("GPU-2222", ()),  # two begin so
        ("GPU-22222,GPU-11111111-aaaa", (T4, L4)),
        ("MIG-5,0", (ListedCard("MIG-5", "MIG", 0), L4)),
    ],
)
def test_the_environment_shows_cards(shown: str | None, cards: tuple[ListedCard, ...]) -> None:
    assert visible((L4, T4, OLD), shown) == cards


def fails() -> str:
    raise NoAnswerError("nvidia-smi failed with status 9: no driver")


def test_why_there_is_no_card_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert list_cards({}, lambda: ANSWER, lambda: False).why == NO_EXTRA
    assert list_cards({}, fails, lambda: True).why == "nvidia-smi failed with status 9: no driver"
    assert list_cards({"CUDA_VISIBLE_DEVICES": ""}, lambda: ANSWER, lambda: True).why == HIDDEN
    assert list_cards({}, lambda: "", lambda: True).why == "nvidia-smi lists no card"
    assert list_cards({}, lambda: ANSWER, lambda: True).cards == (L4, T4, OLD)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_cards({}, None, lambda: True).why == NO_DRIVER


def command(folder: Path, script: str) -> str:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_driver_is_asked(tmp_path: Path) -> None:
    told = command(tmp_path, f"cat <<'END'\n{ANSWER}END")
    assert parse_cards(ask_driver(command=told)) == (L4, T4, OLD)


def test_other_things_are_asked(tmp_path: Path) -> None:
    told = command(tmp_path, 'echo "$*"')
    said = ask_driver("utilization.decoder", "--id=GPU-1", command=told)
    assert said == "--query-gpu=utilization.decoder --format=csv,noheader,nounits --id=GPU-1\n"


def test_a_driver_that_fails_says_why(tmp_path: Path) -> None:
    told = command(tmp_path, "printf 'no\\033[31m driver' >&2; exit 9")
    with pytest.raises(NoAnswerError, match=r"status 9: no\\x1b\[31m driver"):
        ask_driver(command=told)
    with pytest.raises(NoAnswerError, match="cannot be run"):
        ask_driver(command=str(tmp_path / "missing"))


def test_a_driver_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    # The child keeps the pipe open, as a process does that hangs in the driver.
    told = command(tmp_path, "sleep 5 & wait")
    begun_s = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"within 0\.2 s"):
        ask_driver(command=told, patience_s=0.2)
    assert time.monotonic() - begun_s < 4
