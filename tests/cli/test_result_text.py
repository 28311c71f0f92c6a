"""The result as lines for people."""

from __future__ import annotations

from owtmix.cli.result_text import FILES_SHOWN, describe_result
from owtmix.jobs.announcer import CallbackCount
from owtmix.jobs.result import ChunkCount, FileUse, JobResult, LeftOutFile, StreamUse


def result(*left_out: LeftOutFile, callbacks: CallbackCount | None = None, warnings: tuple[str, ...] = ()) -> JobResult:
    return JobResult(
        job_id="room-7",
        output="/rooms/out/room-7.mp4",
        duration_s=90.5,
        frames=1358,
        chunks=ChunkCount(3, 1),
        device=None,
        streams=StreamUse(("anna_1", "ben_1"), ()),
        files=FileUse((), left_out),
        inputs=(),
        warnings=warnings,
        seconds={"planning": 1.0, "composing": 8.0, "publishing": 0.05},
        callbacks=callbacks,
    )


def test_it_says_where_how_long_and_how_fast() -> None:
    assert describe_result(result()).splitlines() == [
        "output    /rooms/out/room-7.mp4",
        "length    00:01:30.500, 2 streams",
        "made in   9.1 s, 10.0 times as fast as it lasts, 1 of 3 chunks from an earlier run",
    ]


def test_it_says_who_was_left_out_and_why() -> None:
    text = describe_result(result(LeftOutFile("a.webm", "is empty"), LeftOutFile("b.webm", "does not exist")))
    assert text.splitlines()[-2:] == ["left out  a.webm: is empty", "          b.webm: does not exist"]


def test_many_that_were_left_out_are_counted() -> None:
    text = describe_result(result(*[LeftOutFile("a.webm", "is empty")] * (FILES_SHOWN + 5)))
    assert text.splitlines()[-1] == "          and 5 more: --json names all"


def test_warnings_and_callbacks_are_pointed_at() -> None:
    text = describe_result(result(callbacks=CallbackCount(3, 2), warnings=("x",)))
    assert text.splitlines()[-2:] == [
        "warnings  1, above and in the log",
        "callbacks 2 not delivered: owt-main --resend room-7",
    ]
    assert "callbacks" not in describe_result(result(callbacks=CallbackCount(3, 0)))


def test_names_and_reasons_forge_no_line() -> None:
    text = describe_result(result(LeftOutFile("a\u202e.webm", "is\nempty\x1b[2K")))
    assert text.splitlines()[-1] == "left out  a\\u202e.webm: is\\nempty\\x1b[2K"
