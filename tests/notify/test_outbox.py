"""The outbox on disk: what survives, in which order, and who may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from owtmix.base.errors import SpecError
from owtmix.notify.outbox import Message, Outbox


def message(name: str, *, droppable: bool = False) -> Message:
    return Message(
        f"msg_{name}", "ucloud_mixer_warning", droppable, f"http://h/?key=canary-{name}", '{"Token":"canary"}'
    )


ONE, TWO, THREE = message("1"), message("2", droppable=True), message("3")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_messages_are_there_after_a_crash_in_their_order(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", "j1")
    run = outbox.begin()
    assert outbox.add([ONE, TWO], closes=False) == (ONE, TWO)
    assert outbox.add([THREE], closes=False) == (THREE,)
    again = Outbox(tmp_path / "outbox", "j1")
    assert again.waiting == (ONE, TWO, THREE)
    assert again.begin() == run, "a run that was killed goes on"


def test_a_run_does_not_have_a_message_twice(tmp_path: Path) -> None:
    first = Outbox(tmp_path, "j1")
    first.begin()
    first.add([ONE, TWO], closes=False)
    first.settle(ONE)
    again = Outbox(tmp_path, "j1")
    again.begin()
    assert again.add([ONE, TWO, THREE], closes=False) == (THREE,)
    assert again.waiting == (TWO, THREE)


def test_after_its_last_message_a_run_is_over(tmp_path: Path) -> None:
    first = Outbox(tmp_path, "j1")
    run = first.begin()
    first.add([ONE], closes=True)
    second = Outbox(tmp_path, "j1")
    assert second.begin() != run
    assert second.add([ONE, THREE], closes=False) == (ONE, THREE)
    assert Outbox(tmp_path, "j1").waiting == (ONE, ONE, THREE), "what is left of the earlier run comes first"


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        outbox = Outbox(tmp_path / "outbox", "j1")
        outbox.begin()
        outbox.add([ONE, TWO], closes=False)
        outbox.settle(ONE)
    finally:
        os.umask(before)
    made = list((tmp_path / "outbox").rglob("*"))
    assert len(files(tmp_path)) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "outbox", *made))


def test_secrets_are_in_no_repr() -> None:
    assert "canary" not in repr(ONE)


def test_what_was_delivered_is_removed(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "j1")
    outbox.begin()
    outbox.add([ONE, TWO], closes=True)
    outbox.settle(ONE)
    outbox.sweep(unfinished=False)
    assert Outbox(tmp_path, "j1").waiting == (TWO,)
    outbox.settle(TWO)
    outbox.sweep(unfinished=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_may_go_on_is_kept_with_what_it_had(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "j1")
    outbox.begin()
    outbox.add([ONE], closes=False)
    outbox.settle(ONE)
    outbox.sweep(unfinished=False)
    assert files(tmp_path)
    outbox.sweep(unfinished=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_torn_note_of_a_delivery_means_a_repeat(tmp_path: Path, cut: int) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    outbox.add([ONE, TWO, THREE], closes=True)
    outbox.settle(ONE)
    settled = tmp_path / "j1" / run / "settled"
    settled.write_bytes(settled.read_bytes()[:-cut])
    again = Outbox(tmp_path, "j1")
    assert again.waiting == (ONE, TWO, THREE)
    again.settle(TWO)
    assert Outbox(tmp_path, "j1").waiting == (ONE, THREE)


def test_a_damaged_batch_is_a_warning_and_is_not_written_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    outbox.add([ONE], closes=False)
    damaged = tmp_path / "j1" / run / "000001.json"
    damaged.write_text('{"closes": false, "messages": [{"id": "canary')
    again = Outbox(tmp_path, "j1")
    assert "000001.json" in caplog.text
    assert "canary" not in caplog.text
    again.begin()
    again.add([TWO], closes=False)
    assert again.waiting == (TWO,)
    assert "canary" in damaged.read_text()


def test_a_batch_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(tmp_path, "j1")
    outbox.begin()

    def power_off(_: int) -> None:
        raise OSError("off")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", power_off)
        with pytest.raises(OSError, match="off"):
            outbox.add([ONE], closes=False)
    assert Outbox(tmp_path, "j1").waiting == ()
    assert outbox.add([ONE], closes=False) == (ONE,)
    assert Outbox(tmp_path, "j1").waiting == (ONE,)


def test_what_must_arrive_is_on_the_disk_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr("os.fsync", note)
    outbox = Outbox(tmp_path / "outbox", "j1")
    run = outbox.begin()
    outbox.add([TWO], closes=False)
    assert synced == [], "what may be dropped waits for no disk"
    outbox.add([ONE], closes=False)
    assert synced == ["000002.new", run, "j1", "outbox", tmp_path.name]


@pytest.mark.parametrize("job_id", ["", ".", "..", "../j1", "a/b", ".hidden", "a\n", "x" * 129])
def test_a_job_id_does_not_climb(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(SpecError, match="is not a job id"):
        Outbox(tmp_path, job_id)
