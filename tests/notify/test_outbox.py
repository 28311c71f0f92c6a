"""The outbox on disk: durability, order and permissions."""

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
    assert again.begin() == run, "a run that was killed is resumed"


def test_a_run_does_not_have_a_message_twice(tmp_path: Path) -> None:
    first = Outbox(tmp_path, "j1")
    first.begin()
    first.add([ONE, TWO], closes=False)
    first.mark_done(ONE)
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
    assert Outbox(tmp_path, "j1").waiting == (ONE, ONE, THREE), "messages of the earlier run come first"


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        outbox = Outbox(tmp_path / "outbox", "j1")
        outbox.begin()
        outbox.add([ONE, TWO], closes=False)
        outbox.mark_done(ONE)
    finally:
        os.umask(before)
    made = list((tmp_path / "outbox").rglob("*"))
    assert len(files(tmp_path)) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "outbox", *made))


def test_secrets_are_in_no_repr() -> None:
    assert "canary" not in repr(ONE)


def test_closed_runs_without_undelivered_messages_are_removed(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "j1")
    outbox.begin()
    outbox.add([ONE, TWO], closes=True)
    outbox.mark_done(ONE)
    outbox.remove_done(unfinished=False)
    assert Outbox(tmp_path, "j1").waiting == (TWO,)
    outbox.mark_done(TWO)
    outbox.remove_done(unfinished=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_may_be_resumed_is_kept_with_its_ids(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "j1")
    outbox.begin()
    outbox.add([ONE], closes=False)
    outbox.mark_done(ONE)
    outbox.remove_done(unfinished=False)
    assert files(tmp_path)
    outbox.remove_done(unfinished=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_truncated_id_of_a_done_message_means_a_repeat(tmp_path: Path, cut: int) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    outbox.add([ONE, TWO, THREE], closes=True)
    outbox.mark_done(ONE)
    done = tmp_path / "j1" / run / "settled"
    done.write_bytes(done.read_bytes()[:-cut])
    again = Outbox(tmp_path, "j1")
    assert again.waiting == (ONE, TWO, THREE)
    again.mark_done(TWO)
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


def test_a_batch_is_complete_or_absent(tmp_path: Path) -> None:
    has_power = False

    def sync(_: int) -> None:
        if not has_power:
            raise OSError("off")

    outbox = Outbox(tmp_path, "j1", sync)
    outbox.begin()
    with pytest.raises(OSError, match="off"):
        outbox.add([ONE], closes=False)
    assert Outbox(tmp_path, "j1").waiting == ()
    has_power = True
    assert outbox.add([ONE], closes=False) == (ONE,)
    assert Outbox(tmp_path, "j1").waiting == (ONE,)


def test_messages_that_are_not_droppable_are_synced_with_their_folders(tmp_path: Path) -> None:
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        os.fsync(descriptor)

    outbox = Outbox(tmp_path / "outbox", "j1", sync)
    run = outbox.begin()
    outbox.add([TWO], closes=False)
    assert synced == [], "droppable messages are not synced"
    outbox.add([ONE], closes=False)
    assert synced == ["000002.new", run, "j1", "outbox", tmp_path.name]


@pytest.mark.parametrize("job_id", ["", ".", "..", "../j1", "a/b", ".hidden", "a\n", "x" * 129])
def test_a_wrong_job_id_is_refused(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(SpecError, match="is not a job id"):
        Outbox(tmp_path, job_id)


@pytest.mark.parametrize(
    "content",
    [
        b'{"closes": true, "messages": [[["x"], "b", false, "u", "{}"]]}',
        b'{"closes": true, "messages": [[1, 2, 3, 4, 5]]}',
        b'{"closes": true, "messages": 5}',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=["a list as id", "numbers", "no list", "deep", "bytes"],
)
def test_junk_is_skipped_and_the_rest_is_waiting(tmp_path: Path, content: bytes) -> None:
    outbox = Outbox(tmp_path, "j1")
    outbox.begin()
    outbox.add([ONE], closes=False)
    outbox.add([TWO], closes=True)
    (first, _) = sorted(tmp_path.rglob("*.json"))
    first.write_bytes(content)
    assert Outbox(tmp_path, "j1").waiting == (TWO,)
