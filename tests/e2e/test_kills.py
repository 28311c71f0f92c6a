"""Runs that are killed, and resumed by the same command: the output is the same and the last callbacks arrive."""

from __future__ import annotations

import json
import shutil
import signal
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.bench import TIMEOUT_S
from tests.e2e.stored import Stored, edit, install_quick, report
from tests.notify.receiver import Receiver, receiving
from tests.storage.fault_proxy import is_content, silent

DIE: Final = """
import os, signal
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Killer:
    """Code that kills the command, and the module to which it is appended."""

    module: str
    code: str


def at_a_share(stage: str, share: float) -> Killer:
    """Kills when this share of a stage is done."""
    code = f"""
from contextlib import nullcontext
from owtmix.base.progress import NoProgress
class KillingProgress(NoProgress):
    def stage(self, name, total, unit="s", done=0):
        self.name, self.total = name, total
    def advance(self, done):
        if self.name == {stage!r} and done >= self.total * {share}:
            die()
def show_progress(**_):
    return nullcontext(KillingProgress())
"""
    return Killer("cli/commands.py", DIE + code)


BEFORE_THE_CALLBACKS: Final = Killer("notify/events.py", f"{DIE}finished = die\n")
BEFORE_THE_COMPLETION: Final = at_a_share("publishing", 1)

MOMENTS: Final = {
    "while recordings come": at_a_share("fetching", 0.5),
    "at 10 % of composing": at_a_share("composing", 0.1),
    "at 50 % of composing": at_a_share("composing", 0.5),
    "at 90 % of composing": at_a_share("composing", 0.9),
    "between the parts and the completion of the upload": BEFORE_THE_COMPLETION,
    "between the output and its callbacks": BEFORE_THE_CALLBACKS,
}


@pytest.fixture
def reporting(stored: Stored, tmp_path: Path) -> Stored:
    """The job, in an installation whose workers report every frame."""
    command = install_quick(tmp_path / "reporting")
    edit(command, "workers/child.py", "REPORT_EVERY_S: Final = 0.1", "REPORT_EVERY_S: Final = 0.0")
    return replace(stored, command=command)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_a_run_that_is_killed_repeatedly_gives_the_same_output(reporting: Stored, receiver: Receiver) -> None:
    stored = reporting
    stored.tell(receiver.url)
    report(stored.run())
    expected = stored.output()
    stored.service.client.delete_object(Bucket=stored.service.bucket, Key=stored.key)
    receiver.requests.clear()
    shutil.rmtree(stored.command.root / "probes")  # what is measured already comes while the output is composed
    for moment, killer in MOMENTS.items():
        stored.proxy.requests.clear()
        with stored.code_appended(killer.module, killer.code):
            killed = stored.run()
        assert killed.returncode == -signal.SIGKILL, (moment, killed.stderr)
        made = [key for key in stored.service.keys() if key.startswith("out/")]  # noqa: SIM118 - it is no dict
        assert made == ([stored.key] if killer == BEFORE_THE_CALLBACKS else []), moment
        assert stored.service.unfinished() == ([stored.key] if killer == BEFORE_THE_COMPLETION else []), moment
        # What one run has downloaded is not downloaded again.
        assert not stored.contents() or moment in {"while recordings come", "at 10 % of composing"}, moment
    assert stored.output() == expected
    report(stored.run())
    assert stored.output() == expected
    assert [key for key in stored.service.keys() if key.startswith("out/")] == [stored.key]  # noqa: SIM118 - as above
    assert not stored.service.unfinished()
    assert not (stored.command.root / "work" / stored.job_id).exists()
    assert not (stored.command.root / "outbox" / stored.job_id).exists()
    check_callbacks(receiver)


def test_an_interrupt_does_not_wait_for_a_silent_store(stored: Stored, receiver: Receiver) -> None:
    stored.tell(receiver.url)
    stored.configure(silence_s="60")
    stored.proxy.inject(silent, times=-1, only=lambda request: is_content(request) and "/room/" in request.path)
    with stored.start() as process:
        stored.proxy.wait_for(lambda request: "/room/" in request.path and is_content(request))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, said
    assert receiver.requests[-1].json["Data"]["Status"] == 3


def check_callbacks(receiver: Receiver) -> None:
    """The last events arrived, and repeated messages had the same id."""
    ids: defaultdict[bytes, set[str]] = defaultdict(set)
    for request in receiver.requests:
        ids[request.body].add(request.id)
    assert [len(several) for several in ids.values()] == [1] * len(ids)
    told = [json.loads(body) for body in ids]
    assert told[-1]["Data"] == {"Status": 2, "StatusName": "SERVICE_STATUS_EXITING"}
    assert receiver.requests[-1].json == told[-1]
    assert [content["EventType"] for content in told].count("ucloud_mixer_file_infos") == 1
    assert [content["Data"].get("WarnCode") for content in told].count(1) == 1
