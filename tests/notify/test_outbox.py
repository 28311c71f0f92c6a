"""The outbox on disk: durability, order and permissions."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any, Final

import pytest

from owtmix.base.errors import SpecError
from owtmix.jobfile.spec import NotifySpec
from owtmix.notify.batch import BLOCK_BYTES
from owtmix.notify.events import Event, finished, started
from owtmix.notify.message import RepeatedEvent
from owtmix.notify.outbox import Outbox
from owtmix.notify.run import Run
from tests.notify.runs import note, waiting

ANNA, BEN = (NotifySpec("job.mixer", f"http://h/{name}?key=canary", "canary") for name in ("anna", "ben"))
FIRST, SECOND, THIRD = started(), note(2), note(3)
"""The first is kept until it is delivered; the others may be dropped."""


def add(outbox: Outbox, *events: Event, closes: bool = False, to: tuple[NotifySpec, ...] = (ANNA,)) -> int:
    return outbox.add([RepeatedEvent(event, 1) for event in events], to, "7", closes=closes)


def begun(folder: Path) -> Outbox:
    outbox = Outbox(folder, "j1")
    outbox.begin()
    return outbox


def data(folder: Path, receiver: NotifySpec = ANNA) -> list[object]:
    """The data of the events that wait for a receiver."""
    return [json.loads(message.body)["Data"] for message in waiting(folder) if message.url == receiver.url]


def of(*events: Event) -> list[object]:
    return [dict(event.data) for event in events]


def deliver(outbox: Outbox, count: int = 1, receiver: NotifySpec = ANNA) -> None:
    """The first messages for a receiver are delivered."""
    stream = outbox.stream(receiver.url)
    for _ in range(count):
        assert stream.first()
        stream.done()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_events_are_there_after_a_crash_in_their_order(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    assert add(outbox, FIRST, SECOND) == 2
    assert add(outbox, THIRD) == 1
    again = Outbox(tmp_path, "j1")
    assert data(tmp_path) == of(FIRST, SECOND, THIRD)
    assert again.left == 3
    assert again.begin() == run, "a run that was killed is resumed"
    assert again.resumed


def test_an_event_is_stored_once_for_all_its_receivers(tmp_path: Path) -> None:
    receivers = tuple(NotifySpec("job.mixer", f"http://h/{number}", str(number)) for number in range(32))
    events = [note(number) for number in range(400)]
    assert add(begun(tmp_path), *events, to=receivers) == 400 * 32
    (stored,) = files(tmp_path)
    assert stored.stat().st_size < 400 * 200
    assert Outbox(tmp_path, "j1").left == 400 * 32
    bodies = [json.loads(message.body) for message in waiting(tmp_path) if message.url == "http://h/31"]
    assert [body["Data"] for body in bodies] == of(*events)
    assert {body["Token"] for body in bodies} == {"31"}
    assert {body["Internal"]["RequestId"] for body in bodies} == {"7"}


def test_a_run_does_not_have_an_event_twice(tmp_path: Path) -> None:
    first = begun(tmp_path)
    add(first, FIRST, SECOND)
    deliver(first)
    again = begun(tmp_path)
    assert add(again, FIRST, SECOND, THIRD) == 1
    assert data(tmp_path) == of(SECOND, THIRD)


def test_a_receiver_that_a_resumed_run_has_in_addition_gets_everything(tmp_path: Path) -> None:
    add(begun(tmp_path), FIRST, SECOND)
    again = begun(tmp_path)
    assert add(again, FIRST, SECOND, THIRD, to=(ANNA, BEN)) == 4
    assert data(tmp_path, ANNA) == data(tmp_path, BEN) == of(FIRST, SECOND, THIRD)


def test_after_its_last_event_a_run_is_over(tmp_path: Path) -> None:
    first = Outbox(tmp_path, "j1")
    run = first.begin()
    add(first, FIRST, closes=True)
    second = Outbox(tmp_path, "j1")
    assert second.begin() != run
    assert not second.resumed
    assert add(second, FIRST, THIRD) == 2
    assert data(tmp_path) == of(FIRST, FIRST, THIRD), "events of the earlier run come first"
    assert len({message.id for message in waiting(tmp_path)}) == 3


def test_the_end_of_a_run_is_stored_though_nobody_wants_its_last_event(tmp_path: Path) -> None:
    uploads = (NotifySpec("job.oss", "http://h/oss", None),)
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    assert add(outbox, *finished(["j1.mp4"])[1:], closes=True, to=uploads) == 1
    assert Outbox(tmp_path, "j1").begin() != run


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        outbox = begun(tmp_path / "outbox")
        add(outbox, FIRST, SECOND)
        deliver(outbox)
    finally:
        os.umask(before)
    made = list((tmp_path / "outbox").rglob("*"))
    assert len(files(tmp_path)) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "outbox", *made))


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    outbox = begun(tmp_path)
    add(outbox, FIRST)
    assert "canary" not in repr(outbox.stream(ANNA.url).first())
    assert "canary" not in repr(next(outbox.unsent(ANNA.url)))


def test_closed_runs_without_undelivered_messages_are_removed(tmp_path: Path) -> None:
    outbox = begun(tmp_path)
    add(outbox, FIRST, SECOND, closes=True)
    deliver(outbox)
    outbox.remove_done(unfinished=False)
    assert data(tmp_path) == of(SECOND)
    deliver(again := Outbox(tmp_path, "j1"))
    again.remove_done(unfinished=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_may_be_resumed_is_kept_with_its_events(tmp_path: Path) -> None:
    outbox = begun(tmp_path)
    add(outbox, FIRST)
    deliver(outbox)
    outbox.remove_done(unfinished=False)
    assert files(tmp_path)
    outbox.remove_done(unfinished=True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_behind_comes_first_in_the_next_run(tmp_path: Path) -> None:
    outbox = begun(tmp_path)
    add(outbox, FIRST, SECOND, THIRD, to=(ANNA, BEN))
    stream = outbox.stream(ANNA.url)
    assert stream.first()
    stream.leave()
    assert stream.first()
    stream.done()
    assert data(tmp_path, ANNA) == of(FIRST, THIRD)
    assert data(tmp_path, BEN) == of(FIRST, SECOND, THIRD)
    assert Outbox(tmp_path, "j1").left == 5
    deliver(Outbox(tmp_path, "j1"))
    assert data(tmp_path, ANNA) == of(THIRD)


def test_that_messages_are_dropped_is_written_once(tmp_path: Path) -> None:
    outbox = begun(tmp_path)
    add(outbox, *(note(number) for number in range(1000)))
    stream = outbox.stream(ANNA.url)
    while stream.first():
        stream.drop()
    assert outbox.left == 0
    assert waiting(tmp_path) == []
    (settled,) = tmp_path.rglob("settled")
    assert settled.stat().st_size < 20


def test_a_message_that_cannot_be_recorded_as_left_is_sent_again_with_all_after_it(tmp_path: Path) -> None:
    """Later lines would say that it is done."""
    outbox = begun(tmp_path)
    add(outbox, FIRST, SECOND)
    (folder,) = (tmp_path / "j1").iterdir()
    (folder / "settled").mkdir()
    stream = outbox.stream(ANNA.url)
    assert stream.first()
    stream.leave()
    (folder / "settled").rmdir()
    assert stream.first()
    stream.done()
    assert data(tmp_path) == of(FIRST, SECOND)


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_truncated_line_about_a_done_message_means_a_repeat(tmp_path: Path, cut: int) -> None:
    outbox = begun(tmp_path)
    add(outbox, FIRST, SECOND, THIRD, closes=True)
    deliver(outbox)
    (done,) = tmp_path.rglob("settled")
    done.write_bytes(done.read_bytes()[:-cut])
    again = Outbox(tmp_path, "j1")
    assert data(tmp_path) == of(FIRST, SECOND, THIRD)
    deliver(again, 2)
    assert data(tmp_path) == of(THIRD)


@pytest.mark.parametrize(
    "junk", [b"\xff\xfe", b"+1.0.0", b"+1.0.9;", b"+9.0.0;", b"+1.7.0;", b"x" * 100_000, b"+" + b"1" * 5000 + b".0.0;"]
)
def test_junk_about_what_is_done_is_ignored(tmp_path: Path, junk: bytes) -> None:
    add(begun(tmp_path), FIRST, SECOND)
    (folder,) = (tmp_path / "j1").iterdir()
    (folder / "settled").write_bytes(b"\n" + junk)
    assert data(tmp_path) == of(FIRST, SECOND)
    assert Outbox(tmp_path, "j1").left == 2


def test_a_damaged_batch_is_a_warning_and_is_not_written_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    add(outbox, FIRST)
    damaged = tmp_path / "j1" / run / "000001.jsonl"
    damaged.write_text('{"closes": false, "receivers": [["canary')
    again = begun(tmp_path)
    assert "000001.jsonl" in caplog.text
    assert "canary" not in caplog.text
    add(again, SECOND)
    assert data(tmp_path) == of(SECOND)
    assert "canary" in damaged.read_text()


JUNK_HEADER: Final = b'{"closes": false, "request": "7", "receivers": [["job.mixer", "http://h/", null]]}\n'
JUNK = {
    "binary": b"\xff\0\n",
    "a list": b"[]\n",
    "no keys": b"{}\n",
    "deep": b"[" * 100_000 + b"\n",
    "many digits": b'{"closes": ' + b"9" * 100_000 + b"}\n",
    "a line without an end": b"x" * 2_000_000,
    "no receivers": b'{"closes": false, "request": "7"}\n',
    "more receivers than a job has": b'{"closes": false, "request": "7", "receivers": [%s]}\n'
    % b",".join(b'["job.mixer", "http://h/%d", null]' % number for number in range(33)),
    "a receiver that is none": b'{"closes": false, "request": "7", "receivers": [7]}\n',
    "an event that is none": JUNK_HEADER + b"7\n",
    "an event of no service": JUNK_HEADER + b'["x", "y", 1, {}]\n',
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_junk_is_skipped_with_a_warning(tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    add(outbox, FIRST)
    (tmp_path / "j1" / run / "000002.jsonl").write_bytes(junk)
    assert data(tmp_path) == of(FIRST)
    assert "000002.jsonl" in caplog.text
    again = Outbox(tmp_path, "j1")
    assert again.left == 2, "it may hold callbacks, and nobody removes it"
    again.remove_done(unfinished=True)
    assert again.begin() == run
    add(again, SECOND, closes=True)
    assert data(tmp_path) == of(FIRST, SECOND)


def test_what_is_not_its_own_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    add(outbox, FIRST, closes=True)
    job = tmp_path / "j1"
    (job / "notes.txt").write_text("")
    (job / "1x-folder").mkdir()
    (job / f"{'9' * 5000}"[:200]).mkdir()
    (job / "000009-link").symlink_to(job / run)
    for name in ("x.jsonl", "\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2.jsonl"):
        (job / run / name).write_text("{}")
    os.mkfifo(job / run / "000003.jsonl")
    (job / run / "000004.jsonl").symlink_to(job / run / "000001.jsonl")
    assert data(tmp_path) == of(FIRST)
    assert "000003.jsonl" in caplog.text
    assert "000004.jsonl" in caplog.text
    assert Outbox(tmp_path, "j1").begin() > run


@pytest.mark.parametrize("junk", [b"\xff\xfe\0", b"x" * 1_000_000, "pipe", "huge"], ids=range(4))
def test_junk_in_the_list_of_what_was_sent_means_that_it_is_sent_again(tmp_path: Path, junk: bytes | str) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    add(outbox, FIRST, SECOND, closes=True)
    done = tmp_path / "j1" / run / "settled"
    match junk:
        case "pipe":
            os.mkfifo(done)
        case "huge":
            done.touch()
            os.truncate(done, 1 << 32)
        case bytes():
            done.write_bytes(junk)
    assert data(tmp_path) == of(FIRST, SECOND)


def test_a_batch_is_complete_or_absent(tmp_path: Path) -> None:
    def fail(_: int) -> None:
        raise OSError("off")

    outbox = Outbox(tmp_path, "j1", fail)
    outbox.begin()
    assert add(outbox, FIRST) == 1
    assert waiting(tmp_path) == []
    assert outbox.left == 1, "it is sent all the same"
    deliver(outbox)
    assert outbox.left == 0


def test_events_that_are_not_droppable_are_synced_with_their_folders(tmp_path: Path) -> None:
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        os.fsync(descriptor)

    outbox = Outbox(tmp_path / "outbox", "j1", sync)
    run = outbox.begin()
    add(outbox, SECOND)
    assert synced == [], "droppable events are not synced"
    add(outbox, FIRST)
    assert synced == ["000002.new", run, "j1", "outbox", tmp_path.name]


def numbered(folder: Path, run: str, batch: str) -> None:
    """A run that holds an event for Ben, with other names of folder and file."""
    outbox = begun(folder)
    add(outbox, FIRST, to=(BEN,))
    (found,) = folder.glob("j1/*/000001.jsonl")
    found = found.rename(found.with_name(f"{batch}.jsonl"))
    found.parent.rename(found.parent.with_name(f"{run}-{'a' * 32}"))


@pytest.mark.parametrize("run", ["000001", "999999", "999999999", "9" * 18])
@pytest.mark.parametrize("batch", ["000001", "999999", "999999999", "9" * 18])
def test_what_is_stored_after_junk_with_a_high_number_is_found(tmp_path: Path, run: str, batch: str) -> None:
    numbered(tmp_path, run, batch)
    for _ in range(3):
        outbox = begun(tmp_path)
        add(outbox, FIRST, SECOND, closes=True)
    assert data(tmp_path) == of(FIRST, SECOND) * 3


def test_runs_and_batches_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    numbered(tmp_path, "1000000", "1000000")
    outbox = begun(tmp_path)
    assert outbox.resumed
    add(outbox, SECOND)
    assert [path.name for path in sorted(files(tmp_path))] == ["1000000.jsonl", "1000001.jsonl"]
    add(outbox, THIRD, closes=True)
    assert begun(tmp_path).begin().startswith("1000001-")


@pytest.mark.parametrize("job_id", ["", ".", "..", "../j1", "a/b", ".hidden", "a\n", "x" * 129])
def test_a_wrong_job_id_is_refused(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(SpecError, match="is not a job id"):
        Outbox(tmp_path, job_id)


HEADER: Final = b'{"closes": true, "request": "", "receivers": [["job.mixer", "http://h", null]]}\n'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{}",
        HEADER.replace(b"true", b"5"),
        HEADER.replace(b'"http://h"', b"7"),
        HEADER.replace(b"null", b"[]"),
        HEADER.replace(b'"job.mixer", ', b""),
        HEADER + b'["job.mixer", "x", 1, {}]',
        HEADER + b'["job.mixer", "x", 1]\n',
        HEADER + b'["job.other", "x", 1, {}]\n',
        HEADER + b'["job.mixer", 5, 1, {}]\n',
        HEADER + b'["job.mixer", "x", 1, []]\n',
        b"[" * 100_000 + b"\n",
        b"x" * 3_000_000,
        b"\xff\n",
    ],
    ids=str,
)
def test_junk_is_skipped_and_the_rest_is_waiting(tmp_path: Path, content: bytes) -> None:
    outbox = begun(tmp_path)
    add(outbox, FIRST)
    add(outbox, SECOND, closes=True)
    (first, _) = sorted(tmp_path.rglob("*.jsonl"))
    first.write_bytes(content)
    assert data(tmp_path) == of(SECOND)


def test_a_batch_that_vanishes_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = begun(tmp_path)
    add(outbox, FIRST)
    add(outbox, SECOND)
    (first, _) = sorted(tmp_path.rglob("*.jsonl"))
    first.unlink()
    message = outbox.stream(ANNA.url).first()
    assert message
    assert json.loads(message.body)["Data"] == SECOND.data
    assert "can no longer be read" in caplog.text
    assert "canary" not in caplog.text


def test_events_of_any_length_come_from_the_disk_in_order(tmp_path: Path) -> None:
    """Longer than a block, as long as one, and much shorter."""
    texts = ["x" * size for size in (0, BLOCK_BYTES - 50, 1, 3 * BLOCK_BYTES, BLOCK_BYTES, 2)]
    events = [Event("job.mixer", "ucloud_mixer_warning", {"WarnMsg": text}) for text in texts]
    add(begun(tmp_path), *events)
    assert data(tmp_path) == of(*events)


def test_memory_grows_neither_with_receivers_nor_with_what_they_have_not_taken(tmp_path: Path) -> None:
    receivers = tuple(NotifySpec("job.mixer", f"http://h/{number}", "t" * 100) for number in range(32))
    outbox = begun(tmp_path)
    add(outbox, *(note(number) for number in range(3000)), to=receivers)
    tracemalloc.start()
    try:
        again = Outbox(tmp_path, "j1")
        streams = [again.stream(receiver.url) for receiver in receivers]
        for stream in streams:
            for _ in range(10):
                assert stream.first()
                stream.done()
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert again.left == 32 * 2990
    assert held < 4 << 20, "96,000 messages of 300 bytes would be 28 MiB"


def test_no_file_stays_open_between_messages(tmp_path: Path) -> None:
    outbox = begun(tmp_path)
    add(outbox, FIRST, SECOND, THIRD)
    stream = outbox.stream(ANNA.url)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert stream.first()
    stream.done()
    assert stream.first()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_run_is_asked_only_for_its_own_receivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch of each run was read for each receiver of any run."""
    for receiver in (ANNA, BEN):
        add(begun(tmp_path), FIRST, closes=True, to=(receiver,))
    asked, unsent = [], Run.unsent

    def noted(run: Run, url: str, *, endless: bool) -> Any:
        asked.append((run.folder.name[:6], url))
        return unsent(run, url, endless=endless)

    monkeypatch.setattr(Run, "unsent", noted)
    outbox = Outbox(tmp_path, "j1")
    assert [len(list(outbox.unsent(url))) for url in outbox.urls] == [1, 1]
    assert asked == [("000001", ANNA.url), ("000002", BEN.url)]
