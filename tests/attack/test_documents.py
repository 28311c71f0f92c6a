"""Documents as hostile as they may be, read by the whole command: it answers in time, and a signal ends it in time."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.cli.signals import DEADLINE_S
from owtmix.jobfile.bounds import MAX_INDEX_BYTES, MAX_JOB_BYTES, MAX_RECORDINGS
from tests.hostile.test_characters import KEYS, feed_job_keys
from tests.support.characters import KINDS, MIB, filled
from tests.support.command import Command, change

pytestmark = pytest.mark.serial

MARKS: Final = "\u0301\u0316" * 30_000
"""60,000 combining marks, of which every other one is in the wrong place."""
ANSWER_S: Final = 15.0
"""For the whole command on a busy machine, which starts in about one second."""


def index_of(job_file: Path) -> Path:
    return next(path for path in job_file.parent.glob("*.json") if path != job_file)


def refused(command: Command, job_file: Path, *arguments: str) -> str:
    """What the command says about a document that it refuses, in time."""
    started = time.monotonic()
    done = command.run("--plan", *arguments, job_file)
    assert time.monotonic() - started < ANSWER_S
    assert done.returncode in {2, 3}, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 100_000
    return done.stderr


@pytest.mark.parametrize("kind", ["digits", "quotes", "marks in disorder", "controls", "Chinese", "exponents"])
def test_every_key_of_a_job_file_with_a_text_of_1_mib(kind: str) -> None:
    feed_job_keys(kind, MAX_JOB_BYTES, KEYS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_file_of_one_kind_of_character(command: Command, tmp_path: Path, kind: str) -> None:
    (tmp_path / "cfg.json").write_bytes(('{"Data": ' + filled(kind)).encode()[:MAX_JOB_BYTES])
    assert "not usable JSON" in refused(command, tmp_path / "cfg.json")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("Data.JobConfig", {"KeyStream": f"a{MARKS}_1"}, "at most 256 characters"),
        ("Data.SubscribeConfig", {"SubscribeAudio": [f"a{MARKS}_1"]}, "stream ids"),
        ("Data.MixerConfig.WaterMark", {"Type": 3, "Text": f"a{MARKS}"}, "at most 1,000 characters"),
        ("Data.MixerConfig.WaterMark", {"Type": 2, "Image": f"http://a{MARKS}/"}, "at most 4,096 characters"),
        ("Data.NotifyConfig", [{"Status": "open", "ServiceType": "job.oss", "NotifyUrl": f"http://{MARKS}/"}], "4,096"),
        ("Data.InputConfig", {"Index": MARKS}, "at most 1,024 characters"),
        ("Internal.RoomId", MARKS, "at most 256 characters"),
        ("Data.MixerConfig.MaxResolutionStream", "1" * 20_000, "at most 256 characters"),
        ("Data.MixerConfig.PositionConfig", [{}] * 257, None),
        (
            "Data.SubscribeConfig",
            {"SubscribeAudio": ["anna_1"] * 20_000},
            "20,000; accepted: a list of at most",
        ),
        ("Data.SubscribeConfig", {"SubscribeAudio": ["anna"] * 9_000}, "and at least 8,900 more problems"),
        ("Data.MixerConfig", {f"unknown{i}": 1 for i in range(30_000)}, None),
    ],
)
def test_a_value_beyond_its_bound(command: Command, tiny: Path, path: str, value: Any, words: str | None) -> None:
    change(tiny, path, value)
    if words is None:  # nothing but warnings
        started = time.monotonic()
        assert command.run("--plan", tiny).returncode == 0
        assert time.monotonic() - started < ANSWER_S
    else:
        assert words in refused(command, tiny)


@pytest.mark.parametrize("key", ["StreamId", "Name", "StartTime", "EndTime"])
def test_an_entry_of_60_000_marks_is_left_out(command: Command, tiny: Path, key: str) -> None:
    index = json.loads(index_of(tiny).read_text())
    index["Files"].append(index["Files"][0] | {key: f"a{MARKS}_1"})
    index_of(tiny).write_text(json.dumps(index))
    started = time.monotonic()
    done = command.run("--plan", *(["--strict"] if key == "EndTime" else []), tiny)
    assert time.monotonic() - started < ANSWER_S
    assert done.returncode == (3 if key == "StartTime" else 0), done.stderr
    assert len(done.stderr) < 100_000


def test_an_index_with_as_many_recordings_as_it_may_have(command: Command, tiny: Path) -> None:
    """All but two are missing; their names are as long as names may be."""
    index = json.loads(index_of(tiny).read_text())
    names = ("n" * 240 + f"{number}.mp4" for number in range(MAX_RECORDINGS - len(index["Files"])))
    index["Files"] += [index["Files"][0] | {"Name": name} for name in names]
    index_of(tiny).write_text(json.dumps(index))
    done = command.run("--plan", tiny)
    assert done.returncode == 0, done.stderr[-2000:]
    index["Files"].append(index["Files"][0])
    index_of(tiny).write_text(json.dumps(index))
    assert "a list of 1 to 10,000 files (here 10,001)" in refused(command, tiny)


@pytest.mark.parametrize("kind", ["quotes", "marks in disorder", "digits", "choices", "empty keys", "commas"])
@pytest.mark.parametrize("after_s", [0.5, 1.5, 3.0])
def test_a_signal_while_an_index_of_16_mib_is_read(command: Command, tiny: Path, kind: str, after_s: float) -> None:
    index_of(tiny).write_bytes(('{"Files": [' + filled(kind, 16 * MIB)).encode()[:MAX_INDEX_BYTES])
    with command.start("--plan", tiny) as process:
        time.sleep(after_s)
        since_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert time.monotonic() - since_s < DEADLINE_S
        assert process.returncode in {130, 3, -signal.SIGTERM}, "-15: before it watches signals"
