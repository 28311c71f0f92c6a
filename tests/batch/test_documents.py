"""What docs/batch.md says of the command is true."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from owtmix.batch.arguments import read_arguments
from owtmix.batch.manifest import KEYS
from owtmix.batch.policy import STATES

DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")


def table_after(heading: str) -> str:
    """The first table of a section."""
    section = DOCUMENT.partition(f"\n{heading}\n")[2]
    return next(part for part in section.split("\n\n") if part.lstrip("\n").startswith("| "))


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(["--help"])
    options = set(re.findall(r"(?<![\w-])--?[a-z]+", capsys.readouterr().out))
    documented = set(re.findall(r"`(--?[a-z]+)[^`]*`", table_after("## Options")))
    assert documented | {"-h", "--help", "--version"} == options


def test_every_key_of_a_manifest_is_documented() -> None:
    assert re.findall(r"^\| `(\w+)` \|", table_after("## The queue"), re.MULTILINE) == [*KEYS]


def test_every_exit_status_of_a_job_is_documented() -> None:
    rows = re.findall(r"^\| (\S+) \|", table_after("## What follows from an exit status"), re.MULTILINE)
    assert [row for row in rows if row.isdecimal()] == ["0", "1", "2", "3", "4", "5", "6", "130"]


def test_every_state_is_documented() -> None:
    assert set(re.findall(r"`(\w+)`", DOCUMENT)) >= STATES


def test_every_command_shown_is_one_that_the_tool_reads() -> None:
    shown = re.findall(r"^(?:\./bin/)?owt-batch (.*)$", DOCUMENT, re.MULTILINE)
    assert len(shown) > 3
    for command in shown:
        read_arguments(shlex.split(command, comments=True))


def test_the_line_of_the_results_that_is_shown_has_all_fields() -> None:
    (line,) = re.findall(r'^\{"time".*\}$', DOCUMENT, re.MULTILINE)
    fields = "time id key cfg attempt state exit node wall_s cpu_s peak_mib output duration_s warnings chunks error log"
    assert [*json.loads(line)] == fields.split()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["q", "--jobs", "0"],
        ["q", "--jobs", "many"],
        ["q", "--attempts", "0"],
        ["q", "--grace", "-1"],
        ["q", "--grace", "nan"],
        ["q", "--gpus", "2"],
        ["q", "--order", "shortest"],
        ["q", "--again", "some"],
        ["q", "--results", ""],
        ["q", "--results", "x" * 300],
        ["q\0"],
        ["--unknown", "q"],
        ["q\x1b[2J", "r"],
    ],
)
def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        read_arguments(words)
    assert end.value.code == 2
    said = capsys.readouterr()
    assert said.err.replace("\n", "").isprintable()
    error = json.loads(said.out)["error"]
    assert (error["type"], error["exit_status"]) == ("QueueError", 2)
    assert error["message"]
