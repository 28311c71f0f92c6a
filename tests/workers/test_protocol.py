"""The parent understands what follows the protocol, and nothing else; no child can make it grow or fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from owtmix.base.errors import InputError
from owtmix.inputs.tasks import NeedsBytes, ProbeTask
from owtmix.plan.media_info import ClockRules, Probe
from owtmix.workers.base import Replies
from owtmix.workers.child import LONGEST_MESSAGE
from owtmix.workers.protocol import (
    LONGEST_REPORT,
    MOST_DONE_S,
    MOST_VALUES,
    MOST_WARNED,
    MOST_WARNINGS,
    ProtocolError,
    ReplyParser,
    TaskReply,
)
from owtmix.workers.result_types import validated
from tests.workers import tasks
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


@pytest.mark.parametrize(
    "number",
    [
        *('"1e999999999"', '"1E999999999"', '" 1e999999999"', '"\\u0031e999999999"', '"\\t1_0e9999"', '".1e99999"'),
        *('"\\u0661e999999999"', '"1/\\u0663"', '"1 / 3"', '"+1/3"', '"1.5"', f'"{"7" * 501}"', f'"1/{"7" * 501}"'),
        *(f'"\\u0031{"7" * 500}"', f'" 1/{"7" * 600}"', "7" * 1000, f"-{'7' * 4000}", '"1/0"'),
    ],
    ids=lambda number: number[:20],
)
def test_a_number_cannot_take_all_memory(number: str) -> None:
    """``Fraction("1e999999999")`` would, and it reads numbers in many forms, which JSON can write in many forms."""
    said = b'["result", {"start_s": NUMBER, "video": null, "sounds": []}]\n'
    assert ReplyParser().feed(said.replace(b"NUMBER", b'"-1/3"'), ProbeResult())[1]
    with pytest.raises(ProtocolError, match="sends a line that cannot be parsed"):
        ReplyParser().feed(said.replace(b"NUMBER", number.encode()), ProbeResult())
    key = b'["result", {"start_s": "1", "video": null, "sounds": [], NUMBER: 1}]\n'
    if number.startswith('"') and number != '"1/0"':
        with pytest.raises(ProtocolError, match="sends a line that cannot be parsed"):
            ReplyParser().feed(key.replace(b"NUMBER", number.encode()), ProbeResult())


@pytest.mark.parametrize("text", ["", "it is damaged at 00:00:01.000", "2.5 s are missing", "1/3", "cuda:0"])
def test_text_stays_text(text: str) -> None:
    assert ReplyParser().feed(line("result", text), Echo())[1] == TaskReply(text)


def test_only_the_errors_of_a_task_may_be_claimed() -> None:
    class Strict(tasks.EchoMuch):
        replies = Replies.of(InputError)

    for name in ("InputError", "RenderError", "ShortageError"):
        assert ReplyParser().feed(line("error", [name, "no"]), Strict())[1]
    for name in ("DestinationError", "EncoderLost", "ChangedError"):
        with pytest.raises(ProtocolError):
            ReplyParser().feed(line("error", [name, "no"]), Strict())


def test_a_result_that_cannot_be_violates_the_protocol() -> None:
    class Never(tasks.EchoMuch):
        def check(self, value: str) -> None:
            raise ValueError(f"says {value}")

    with pytest.raises(ProtocolError, match="sends a result that cannot be: it says done"):
        ReplyParser().feed(line("result", "done"), Never())


def test_only_results_are_long_and_no_longer_than_a_task_may_have() -> None:
    """A line of brackets takes twenty times as much memory when it is parsed."""
    for said in (b'["begun", [', b'["result",', b"["):
        with pytest.raises(ProtocolError, match="sends a line that does not end"):
            ReplyParser().feed(said + b"[]," * LONGEST_REPORT, tasks.EchoMuch())
    with pytest.raises(ProtocolError):
        ReplyParser().feed(b'["result", ' + b"[]," * LONGEST_REPORT, Echo())
    with pytest.raises(ProtocolError, match="cannot be parsed"):
        ReplyParser().feed(line("result", "x" * (Replies().result_bytes + 1)), Echo())
    assert ReplyParser().feed(line("result", "x" * LONGEST_REPORT * 2), tasks.EchoMuch())[1]


def test_progress_is_bounded() -> None:
    parser = ReplyParser()
    for said, done_s in ((1, 1), (-1e308, 0), (2, 2), (1e308, MOST_DONE_S)):
        parser.feed(line("progress", said), Echo())
        assert parser.done_s == done_s


def test_a_line_has_an_end() -> None:
    parser = ReplyParser()
    piece = b"x" * (LONGEST_REPORT // 8)
    for _ in range(8):
        parser.feed(piece, Echo())
    with pytest.raises(ProtocolError, match="sends a line that does not end"):
        parser.feed(b"x", Echo())


def test_messages_are_bounded_in_number_and_length() -> None:
    parser = ReplyParser()
    assert len(parser.feed(line("warning", "x") * (MOST_WARNINGS + 5), Echo())[0]) == MOST_WARNINGS
    parser = ReplyParser()
    warnings, _ = parser.feed(line("warning", "x" * 100_000) * MOST_WARNINGS, Echo())
    assert sum(map(len, warnings)) <= MOST_WARNED
    assert {len(warning) for warning in warnings} == {LONGEST_MESSAGE}
    _, reply = parser.feed(line("error", ["InputError", "x" * 100_000]), Echo())
    assert reply
    assert len(str(reply.error)) == LONGEST_MESSAGE


def test_a_wrong_result_ends_at_its_first_error() -> None:
    """An error for each of a million elements would take gigabytes."""
    for said in ([1] * 10_000, {"runs": [[1]] * 10_000, "video": [1] * 10_000, "sounds": [{"runs": [1] * 100}] * 1000}):
        with pytest.raises(ValidationError) as caught:
            validated(Probe | NeedsBytes, said)
        assert caught.value.error_count() < 100


def test_a_line_has_a_bounded_number_of_values() -> None:
    long = ProbeTask(0, "a", Path("/a"), ClockRules())
    with pytest.raises(ProtocolError, match="cannot be parsed"):
        ReplyParser().feed(b'["result", [' + b"[]," * MOST_VALUES + b"1]]\n", long)
