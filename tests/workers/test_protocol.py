"""The parent understands what follows the protocol, and nothing else; no child can make it grow or fail."""

from __future__ import annotations

import json

import pytest

from owtmix.plan.media_info import Probe
from owtmix.workers import protocol
from owtmix.workers.protocol import LONGEST_MESSAGE, MOST_WARNINGS, ProtocolError, ReplyParser
from tests.workers.duties import Duty


class Measure(Duty):
    result = Probe


def line(kind: str, value: object) -> bytes:
    return json.dumps([kind, value]).encode() + b"\n"


def test_news_may_come_in_any_pieces() -> None:
    heard, listener = b"".join([line("progress", 1.5), line("warning", "é"), line("result", "done")]), ReplyParser()
    found = [listener.listen(heard[i : i + 1], Duty()) for i in range(len(heard))]
    assert [warning for warnings, _ in found for warning in warnings] == ["é"]
    assert [verdict.value for _, verdict in found if verdict] == ["done"]
    assert listener.done_s == 1.5


def test_waiting_is_no_silence_and_no_progress() -> None:
    listener = ReplyParser()
    assert listener.listen(line("progress", 1.5) + line("waiting", None), Duty()) == ([], None)
    assert listener.done_s == 1.5


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xfe\n",
        b"\n",
        b"{}\n",
        b"[]\n",
        b'["progress"]\n',
        b'["progress", "1"]\n',
        b'["progress", NaN]\n',
        b'["progress", 1e999]\n',
        b'["progress", ' + b"9" * 5000 + b"]\n",
        b'["result", 5]\n',
        b'["error", ["SystemExit", "no"]]\n',
        b'["error", "InputError"]\n',
        b'["order", 5]\n',
        b"[" * 100_000 + b"\n",
        line("result", "done") + line("progress", 2),
    ],
    ids=lambda said: said[:30].decode(errors="replace"),
)
def test_nonsense_is_refused(said: bytes) -> None:
    with pytest.raises(ProtocolError):
        ReplyParser().listen(said, Duty())


def test_a_number_cannot_take_all_memory() -> None:
    """``Fraction("1e999999999")`` would."""
    run = {"knots": [[0, "0"], [1, "1e999999999"]]}
    sound = {"index": 0, "codec": "aac", "rate_hz": 8000, "channels": 1, "runs": [run]}
    with pytest.raises(ProtocolError):
        ReplyParser().listen(line("result", {"video": None, "audio": sound}), Measure())


def test_a_line_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LONGEST_LINE", 1000)
    listener = ReplyParser()
    for _ in range(10):
        listener.listen(b"x" * 100, Duty())
    with pytest.raises(ProtocolError, match="does not stop talking"):
        listener.listen(b"x", Duty())


def test_messages_are_bounded_in_number_and_length() -> None:
    listener = ReplyParser()
    warnings, _ = listener.listen(line("warning", "x" * 100_000) * (MOST_WARNINGS + 5), Duty())
    assert len(warnings) == MOST_WARNINGS
    assert {len(warning) for warning in warnings} == {LONGEST_MESSAGE}
    _, verdict = listener.listen(line("error", ["InputError", "x" * 100_000]), Duty())
    assert verdict
    assert len(str(verdict.error)) == LONGEST_MESSAGE
