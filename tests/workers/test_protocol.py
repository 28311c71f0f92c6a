"""The parent understands what follows the protocol, and nothing else; no child can make it grow or fail."""

from __future__ import annotations

import json

import pytest

from owtmix.plan.media_info import Probe
from owtmix.workers.protocol import LONGEST_LINE, LONGEST_MESSAGE, MOST_WARNINGS, ProtocolError, ReplyParser
from tests.workers.tasks import Echo


class ProbeResult(Echo):
    result = Probe


def line(kind: str, value: object) -> bytes:
    return json.dumps([kind, value]).encode() + b"\n"


def test_reports_may_come_in_any_pieces() -> None:
    sent, parser = b"".join([line("progress", 1.5), line("warning", "é"), line("result", "done")]), ReplyParser()
    found = [parser.feed(sent[i : i + 1], Echo()) for i in range(len(sent))]
    assert [warning for warnings, _ in found for warning in warnings] == ["é"]
    assert [reply.value for _, reply in found if reply] == ["done"]
    assert parser.done_s == 1.5


def test_waiting_is_no_silence_and_no_progress() -> None:
    parser = ReplyParser()
    assert parser.feed(line("progress", 1.5) + line("waiting", None), Echo()) == ([], None)
    assert parser.done_s == 1.5


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
        ReplyParser().feed(said, Echo())


def test_a_number_cannot_take_all_memory() -> None:
    """``Fraction("1e999999999")`` would."""
    run = {"knots": [[0, "0"], [1, "1e999999999"]]}
    sound = {"index": 0, "codec": "aac", "rate_hz": 8000, "channels": 1, "runs": [run]}
    with pytest.raises(ProtocolError):
        ReplyParser().feed(line("result", {"video": None, "audio": sound}), ProbeResult())


def test_a_line_has_an_end() -> None:
    parser = ReplyParser()
    piece = b"x" * (LONGEST_LINE // 8)
    for _ in range(8):
        parser.feed(piece, Echo())
    with pytest.raises(ProtocolError, match="sends a line that does not end"):
        parser.feed(b"x", Echo())


def test_messages_are_bounded_in_number_and_length() -> None:
    parser = ReplyParser()
    warnings, _ = parser.feed(line("warning", "x" * 100_000) * (MOST_WARNINGS + 5), Echo())
    assert len(warnings) == MOST_WARNINGS
    assert {len(warning) for warning in warnings} == {LONGEST_MESSAGE}
    _, reply = parser.feed(line("error", ["InputError", "x" * 100_000]), Echo())
    assert reply
    assert len(str(reply.error)) == LONGEST_MESSAGE
