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


JUNK = {
    "binary": b"\xff\0",
    "a list": b"[]",
    "no keys": b"{}",
    "deep": b"[" * 100_000,
    "many digits": b'{"closes": ' + b"9" * 100_000 + b"}",
    "no end": b'{"messages": []}',
    "no list": b'{"closes": false, "messages": 7}',
    "not a row": b'{"closes": false, "messages": ["x"]}',
    "a number for a text": b'{"closes": false, "messages": [["msg_1", "e", true, 7, "{}"]]}',
    "an id that is no header": b'{"closes": false, "messages": [["a\\r\\nX: y", "e", true, "http://h/", "{}"]]}',
    "a body that is not ASCII": b'{"closes": false, "messages": [["msg_1", "e", true, "http://h/", "\\ud800"]]}',
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_junk_is_skipped_with_a_warning(tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    outbox.add([ONE], closes=False)
    (tmp_path / "j1" / run / "000002.json").write_bytes(junk)
    again = Outbox(tmp_path, "j1")
    assert again.waiting == (ONE,)
    assert "000002.json" in caplog.text
    assert again.begin() == run
    again.add([TWO], closes=True)
    assert Outbox(tmp_path, "j1").waiting == (ONE, TWO)


def test_a_wrong_word_for_the_end_is_no_end(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    outbox.add([ONE], closes=False)
    (tmp_path / "j1" / run / "000002.json").write_text('{"closes": "yes", "messages": []}')
    assert Outbox(tmp_path, "j1").begin() == run


def test_what_is_not_its_own_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    outbox.add([ONE], closes=True)
    job = tmp_path / "j1"
    (job / "notes.txt").write_text("")
    (job / "1x-folder").mkdir()
    (job / f"{'9' * 5000}"[:200]).mkdir()
    (job / "000009-link").symlink_to(job / run)
    for name in ("x.json", "\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2.json"):
        (job / run / name).write_text("{}")
    os.mkfifo(job / run / "000003.json")
    (job / run / "000004.json").symlink_to(job / run / "000001.json")
    again = Outbox(tmp_path, "j1")
    assert again.waiting == (ONE,)
    assert "000003.json" in caplog.text
    assert "000004.json" in caplog.text
    assert again.begin() > run


@pytest.mark.parametrize("junk", [b"\xff\xfe\0", b"x" * 1_000_000, "pipe", "huge"], ids=range(4))
def test_junk_in_the_list_of_what_was_sent_means_that_it_is_sent_again(tmp_path: Path, junk: bytes | str) -> None:
    outbox = Outbox(tmp_path, "j1")
    run = outbox.begin()
    outbox.add([ONE, TWO], closes=True)
    done = tmp_path / "j1" / run / "settled"
    match junk:
        case "pipe":
            os.mkfifo(done)
        case "huge":
            done.touch()
            os.truncate(done, 1 << 40)
        case bytes():
            done.write_bytes(junk)
    assert Outbox(tmp_path, "j1").waiting == (ONE, TWO)


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
