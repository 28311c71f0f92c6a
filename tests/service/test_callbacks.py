"""Callbacks: in order for each URL, kept until they are delivered."""

from __future__ import annotations

from pathlib import Path

from owtmix.notify.events import WarnCode
from owtmix.service import callbacks, job_events, jobs
from owtmix.service.callbacks import Callbacks
from tests.service.conftest import NOW_US, START, Rig

URL = "http://127.0.0.1:1/cb?t=1"


def stream(rig: Rig) -> callbacks.CallbackStream:
    path = rig.run(lambda c: c.execute("PRAGMA database_list").fetchone()["file"])
    return Callbacks(Path(path)).stream(URL)


def stored(rig: Rig, job: str, *files: str) -> None:
    events = [job_events.RECORD.files([name]) for name in files]
    rig.run(lambda c: callbacks.store(c, jobs.find(c, job), events))


def test_they_come_in_order_and_once(rig: Rig) -> None:
    stored(rig, rig.started(), "1", "2")
    messages = stream(rig)
    seen = []
    while message := messages.first():
        assert messages.first() is message
        seen.append(message.event)
        messages.done()
    assert seen == ["ucloud_record_status_update", *["ucloud_record_file_infos"] * 2]
    assert stream(rig).first() is None
    assert rig.run(callbacks.waiting_urls) == []


def test_what_was_not_settled_comes_again_with_the_same_id(rig: Rig) -> None:
    rig.started()
    first = stream(rig).first()
    assert first
    assert first == stream(rig).first()


def test_what_is_left_lets_others_pass_and_is_tried_at_the_next_start(rig: Rig) -> None:
    stored(rig, rig.started(), "1")
    messages = stream(rig)
    left = messages.first()
    messages.leave()
    following = messages.first()
    assert left
    assert following
    assert following.place > left.place
    assert rig.run(callbacks.count) == {"waiting": 1, "given up": 1}
    rig.run(callbacks.retry_left)
    assert stream(rig).first() == left


def test_only_open_receivers_of_the_service_are_told(rig: Rig) -> None:
    job = rig.started()
    closed = [{**START["NotifyConfig"][0], "Status": "close"}]
    rig.act("job.notify.update", job, {"NotifyConfig": closed})
    stored(rig, job, "1")
    rig.run(lambda c: callbacks.store(c, jobs.find(c, job), [job_events.upload(0, ["x"])]))
    assert rig.run(callbacks.count)["waiting"] == 1


def test_warnings_may_be_dropped_and_others_not() -> None:
    assert job_events.RECORD.warning(WarnCode.SERVICE_WARN_PROCESS_RESTART, "x").droppable
    assert not job_events.RECORD.files([]).droppable


def test_a_job_with_callbacks_is_not_forgotten(rig: Rig) -> None:
    job = rig.started()
    rig.run(lambda c: jobs.set_state(c, jobs.find(c, job), "ended", NOW_US))
    assert rig.run(lambda c: jobs.forget(c, NOW_US + 1)) == []
    messages = stream(rig)
    while messages.first():
        messages.done()
    assert rig.run(lambda c: jobs.forget(c, NOW_US + 1)) == [job]
    assert rig.run(jobs.counts) == {}
