"""A run that is killed without any warning, and the same command again: one output, and the caller is told its end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.e2e.stored import SHORT_PAUSES, Stored, report
from tests.notify.receiver import Receiver, receiving

KILL = "import os, signal\ndef die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"

AT_A_SHARE = """
from owtmix.progress import Silence
class Watch(Silence):
    def stage(self, name, total, unit="s"):
        self.name, self.total = name, total
    def advance(self, done):
        if self.name == {stage!r} and done >= self.total * {share}:
            die()
from contextlib import nullcontext
from owtmix import command
command.show_progress = lambda **_: nullcontext(Watch())
"""

BEFORE_THE_CALLBACKS = """
from owtmix.notify import events
events.finished = die
"""

MOMENTS = {
    "while recordings come": AT_A_SHARE.format(stage="fetching", share=0.5),
    "at 10 % of composing": AT_A_SHARE.format(stage="composing", share=0.1),
    "at 50 % of composing": AT_A_SHARE.format(stage="composing", share=0.5),
    "at 90 % of composing": AT_A_SHARE.format(stage="composing", share=0.9),
    "between the parts and the completion of the upload": AT_A_SHARE.format(stage="publishing", share=1),
    "between the output and its callbacks": BEFORE_THE_CALLBACKS,
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_whenever_a_run_is_killed_the_next_one_ends_it(stored: Stored, receiver: Receiver) -> None:
    stored.tell(receiver.url)
    report(stored.run())
    expected = stored.output()
    for moment, killer in MOMENTS.items():
        stored.service.client.delete_object(Bucket=stored.service.bucket, Key=stored.key)
        receiver.requests.clear()
        stored.proxy.requests.clear()
        killed = stored.run_with(KILL + SHORT_PAUSES + killer)
        assert killed.returncode == -9, (moment, killed.stderr)
        assert (stored.key in stored.service.keys()) == (killer == BEFORE_THE_CALLBACKS)  # noqa: SIM118 - it is no dict
        report(stored.run())
        assert stored.output() == expected, moment
        assert not stored.service.unfinished()
        (made,) = (key for key in stored.service.keys() if key.startswith("out/"))  # noqa: SIM118 - it is no dict
        assert made == stored.key
        if moment != "while recordings come":
            check_downloads_were_kept(stored, moment)
        check_callbacks(receiver, moment)
    assert not (stored.command.root / "work" / stored.job_id).exists()
    assert not (stored.command.root / "outbox" / stored.job_id).exists()


def check_downloads_were_kept(stored: Stored, moment: str) -> None:
    """Each recording was fetched once in both runs together; after the commit, nothing is kept of them."""
    paths = [request.path for request in stored.contents()]
    again = 2 if moment == "between the output and its callbacks" else 1
    assert len(paths) == again * len(set(paths)) == again * 2, moment


def check_callbacks(receiver: Receiver, moment: str) -> None:
    """The end was told, once or more, and whatever came twice had the same id."""
    ids: defaultdict[bytes, set[str]] = defaultdict(set)
    for request in receiver.requests:
        ids[request.body].add(request.id)
    last = receiver.requests[-1].json["Data"]
    assert last == {"Status": 2, "StatusName": "SERVICE_STATUS_EXITING"}, moment
    told = [json.loads(body)["EventType"] for body in ids]
    assert told.count("ucloud_mixer_file_infos") == 1
    for body, several in ids.items():
        assert len(several) == 1, (moment, body)
    codes = [request.json["Data"].get("WarnCode") for request in receiver.requests]
    assert codes.count(1) == 1, (moment, "a run was resumed")
