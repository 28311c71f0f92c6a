"""A folder as a store: what is in it, and nothing else."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError, InputError
from owtmix.storage.base import LocalCopy
from owtmix.storage.local import LocalStore

NOWHERE = Path("not used")
"""Local files need no folder to be fetched to, and are staged where they are to be."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The store's folder; beside it lies a neighbour that is none of its business."""
    folder = tmp_path / "room"
    folder.mkdir()
    (folder / "alice.webm").write_bytes(b"alice")
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    (neighbour / "secret.webm").write_bytes(b"secret")
    return folder


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(root)


def lead_out(root: Path) -> tuple[str, ...]:
    """Keys that would reach the neighbour's file."""
    neighbour = root.parent / "neighbour"
    (root / "file-link.webm").symlink_to(neighbour / "secret.webm")
    (root / "folder-link").symlink_to(neighbour)
    (root / "relative-link.webm").symlink_to("../neighbour/secret.webm")
    (root / "chain.webm").symlink_to("relative-link.webm")
    return (
        "file-link.webm",
        "folder-link/secret.webm",
        "relative-link.webm",
        "chain.webm",
        "../neighbour/secret.webm",
        "folder-link/../neighbour/secret.webm",
        str(neighbour / "secret.webm"),
    )


def everything(folder: Path) -> dict[str, bytes | None]:
    """Every path below ``folder``, and what each file holds."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def test_files_inside_are_read_and_fetched(store: LocalStore, root: Path) -> None:
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "王小明.webm").write_bytes(b"wang")
    assert store.read("alice.webm", 5) == b"alice"
    assert store.locate("deep/er/王小明.webm", NOWHERE).path.read_bytes() == b"wang"
    assert store.address("alice.webm") == str(root / "alice.webm")


def test_a_link_that_stays_inside_is_followed(store: LocalStore, root: Path) -> None:
    (root / "again.webm").symlink_to("alice.webm")
    assert store.read("again.webm", 100) == b"alice"
    assert store.locate("again.webm", NOWHERE).path.read_bytes() == b"alice"


def test_a_link_to_what_is_gone_is_not_taken_for_nothing(store: LocalStore, root: Path) -> None:
    """It may lie on a disk that is not mounted."""
    (root / "lost.jsonl").symlink_to("disk/updates.jsonl")
    (root / "lost").symlink_to("disk")
    with pytest.raises(InputError, match=r"lost is a link to .*disk, which does not exist"):
        store.read("lost/updates.jsonl", 100)
    for ask in (lambda: store.read("lost.jsonl", 100), lambda: store.locate("lost.jsonl", NOWHERE)):
        with pytest.raises(InputError, match=r"lost\.jsonl is a link to .*disk/updates\.jsonl, which does not exist"):
            ask()
    assert store.read("nothing.jsonl", 100) is None


def test_the_folder_itself_may_be_a_link(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    store = LocalStore(link)
    assert store.read("alice.webm", 100) == b"alice"
    staged = store.stage("out.mp4", "job", NOWHERE)
    staged.write_bytes(b"finished")
    store.commit(staged, "out.mp4", lambda _: None)
    assert (root / "out.mp4").read_bytes() == b"finished"


def test_nothing_outside_is_read(store: LocalStore, root: Path) -> None:
    for key in lead_out(root):
        with pytest.raises(InputError, match="leads out of the folder"):
            store.read(key, 100)
        with pytest.raises(InputError, match="leads out of the folder"):
            store.locate(key, NOWHERE)


@pytest.mark.parametrize("name", ["new.mp4", "secret.webm", "deeper/new.mp4"])
def test_nothing_outside_is_written_or_made(store: LocalStore, root: Path, name: str) -> None:
    lead_out(root)
    (root / "nowhere-yet").symlink_to(root.parent / "made-by-mistake")
    before = everything(root.parent)
    for folder in ("folder-link", "nowhere-yet", "..", "folder-link/.."):
        with pytest.raises(DestinationError, match="leads out of the folder"):
            store.stage(f"{folder}/{name}", "job", NOWHERE)
    assert everything(root.parent) == before


def swap_when_resolved(monkeypatch: pytest.MonkeyPatch, folder: Path, target: Path) -> None:
    """As somebody who writes beside ``folder``: once a path was resolved, put a link to ``target`` in its place."""
    resolve = LocalStore._inside

    def swapping(store: LocalStore, key: str) -> Path:
        path = resolve(store, key)
        if not folder.is_symlink():
            if folder.exists():
                folder.rename(folder.with_name("aside"))
            folder.symlink_to(target)
        return path

    monkeypatch.setattr(LocalStore, "_inside", swapping)


@pytest.mark.parametrize("is_read", [True, False])
@pytest.mark.parametrize("swapped", ["deep", "deep/er"])
def test_a_link_that_appears_once_a_path_was_resolved_is_not_followed_to_read(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch, swapped: str, is_read: bool
) -> None:
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "secret.webm").write_bytes(b"inside")
    neighbour = root.parent / "neighbour"
    shutil.copytree(neighbour, neighbour / "er")
    swap_when_resolved(monkeypatch, root / swapped, neighbour)
    with pytest.raises(InputError, match=r"cannot be read: (deep|er) was replaced by a link meanwhile"):
        store.read("deep/er/secret.webm", 100) if is_read else store.locate("deep/er/secret.webm", NOWHERE)


def test_a_file_that_becomes_a_link_once_it_was_found_is_not_read(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_when_resolved(monkeypatch, root / "alice.webm", root.parent / "neighbour" / "secret.webm")
    with pytest.raises(InputError, match=r"cannot be read: alice\.webm was replaced by a link meanwhile"):
        store.read("alice.webm", 100)


@pytest.mark.parametrize("key", ["out/secret.webm", "out/new/a.mp4"])
def test_a_link_that_appears_once_a_path_was_resolved_is_not_followed_to_write(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    neighbour = root.parent / "neighbour"
    left = neighbour / f".job.{'0' * 16}.part.mp4"
    left.touch()
    before = everything(neighbour)
    (root / "out").mkdir()
    swap_when_resolved(monkeypatch, root / "out", neighbour)
    with pytest.raises(DestinationError, match="cannot be made: out was replaced by a link meanwhile"):
        store.stage(key, "job", NOWHERE)
    assert everything(neighbour) == before


def test_an_output_lands_in_the_folder_where_it_was_staged(store: LocalStore, root: Path) -> None:
    staged = store.stage("out/secret.webm", "job", NOWHERE)
    staged.write_bytes(b"finished")
    (root / "out").rename(root / "aside")
    (root / "out").symlink_to(root.parent / "neighbour")
    store.commit(staged, "out/secret.webm", lambda _: None)
    assert (root.parent / "neighbour" / "secret.webm").read_bytes() == b"secret"
    assert everything(root / "aside") == {"secret.webm": b"finished"}


@pytest.mark.parametrize("kind", ["link", "file"])
def test_only_the_file_that_was_staged_becomes_the_output(store: LocalStore, root: Path, kind: str) -> None:
    (root / "out.mp4").write_bytes(b"older")
    staged = store.stage("out.mp4", "job", NOWHERE)
    staged.unlink()
    if kind == "link":
        staged.symlink_to(root.parent / "neighbour" / "secret.webm")
    else:
        staged.write_bytes(b"another")
    with pytest.raises(DestinationError, match="cannot be written: its unfinished file was replaced meanwhile"):
        store.commit(staged, "out.mp4", lambda _: None)
    assert (root / "out.mp4").read_bytes() == b"older"


def test_links_inside_are_followed_for_an_output_too(store: LocalStore, root: Path) -> None:
    (root / "real").mkdir()
    (root / "absolute").symlink_to(root / "real")
    (root / "relative").symlink_to("absolute")
    staged = store.stage("relative/out.mp4", "job", NOWHERE)
    staged.write_bytes(b"finished")
    assert store.commit(staged, "relative/out.mp4", lambda _: None) == str(root / "relative" / "out.mp4")
    assert everything(root / "real") == {"out.mp4": b"finished"}


def test_a_link_in_the_output_s_place_is_replaced_not_followed(store: LocalStore, root: Path) -> None:
    secret = root.parent / "neighbour" / "secret.webm"
    (root / f".job.{'0' * 16}.part.mp4").symlink_to(secret)
    (root / "out.mp4").symlink_to(secret)
    staged = store.stage("out.mp4", "job", NOWHERE)
    staged.write_bytes(b"finished")
    store.commit(staged, "out.mp4", lambda _: None)
    assert secret.read_bytes() == b"secret"
    assert not (root / "out.mp4").is_symlink()
    assert (root / "out.mp4").read_bytes() == b"finished"


def test_what_is_missing_is_none_to_read_and_an_error_to_locate(store: LocalStore) -> None:
    for key in ("bob.webm", "no/such/folder.webm", "alice.webm/below-a-file"):
        assert store.read(key, 100) is None
        with pytest.raises(InputError, match="does not exist"):
            store.locate(key, NOWHERE)


def test_a_folder_that_is_missing_is_called_that(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder .*/never-made does not exist"):
        LocalStore(tmp_path / "never-made").read("index.json", 100)


def test_a_file_that_is_too_large_is_refused(store: LocalStore) -> None:
    assert store.read("alice.webm", 5) is not None
    with pytest.raises(InputError, match="larger than 4 bytes"):
        store.read("alice.webm", 4)


def test_what_is_no_file_is_refused_at_once(store: LocalStore, root: Path) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")  # to open it would wait for a writer
    for key in ("folder", "pipe"):
        with pytest.raises(InputError, match="is not a file"):
            store.read(key, 100)
        with pytest.raises(InputError, match="is not a file"):
            store.locate(key, NOWHERE)


def test_keys_that_no_file_can_have_are_input_errors(store: LocalStore, root: Path) -> None:
    (root / "circle").symlink_to("circle")
    for key in ("circle", "x" * 300, "nul\0nul"):
        with pytest.raises(InputError):
            store.read(key, 100)
        with pytest.raises(InputError):
            store.locate(key, NOWHERE)


def test_the_output_appears_under_its_name_all_at_once(store: LocalStore, root: Path) -> None:
    staged = store.stage("new/folder/out.mp4", "job-7", NOWHERE)
    assert staged.parent == root / "new" / "folder"
    assert staged.suffix == ".mp4"
    assert not staged.read_bytes()
    staged.write_bytes(b"finished")
    assert not (root / "new" / "folder" / "out.mp4").exists()
    assert store.commit(staged, "new/folder/out.mp4", lambda _: None) == str(root / "new" / "folder" / "out.mp4")
    assert everything(root / "new") == {"folder": None, "folder/out.mp4": b"finished"}


def test_an_older_output_stays_until_the_new_one_takes_its_place(store: LocalStore, root: Path) -> None:
    (root / "out.mp4").write_bytes(b"older")
    staged = store.stage("out.mp4", "job", NOWHERE)
    staged.write_bytes(b"half")
    assert (root / "out.mp4").read_bytes() == b"older"
    staged.write_bytes(b"finished")
    store.commit(staged, "out.mp4", lambda _: None)
    assert (root / "out.mp4").read_bytes() == b"finished"


def test_two_jobs_do_not_share_a_half_output(store: LocalStore) -> None:
    assert store.stage("out.mp4", "monday", NOWHERE) != store.stage("out.mp4", "tuesday", NOWHERE)


def test_two_runs_of_a_job_do_not_share_a_half_output(root: Path) -> None:
    """Two installations do not know of each other."""
    first, second = LocalStore(root), LocalStore(root)
    ours = first.stage("out.mp4", "job", NOWHERE)
    ours.write_bytes(b"ours")
    theirs = second.stage("out.mp4", "job", NOWHERE)
    theirs.write_bytes(b"theirs")
    second.commit(theirs, "out.mp4", lambda _: None)
    assert (root / "out.mp4").read_bytes() == b"theirs"
    first.commit(ours, "out.mp4", lambda _: None)
    assert (root / "out.mp4").read_bytes() == b"ours"
    assert [path.name for path in root.glob(".*")] == []


def test_what_a_run_that_was_killed_left_is_removed_and_nothing_else(root: Path) -> None:
    others = [f".job.{'0' * 16}.part", f".job.{'0' * 15}.part.mp4", f".job-2.{'0' * 16}.part.mp4", ".job.part.mp4"]
    left = [f".job.{'0' * 16}.part.mp4", f".job.{'f' * 16}.part.m4a"]
    for name in (*others, *left):
        (root / name).touch()
    store = LocalStore(root)
    assert list(store.replaced("out.mp4", "job")) == ["out.mp4", *left]
    staged = store.stage("out.mp4", "job", NOWHERE)
    assert {path.name for path in root.glob(".*")} == {*others, staged.name}


def test_a_run_that_ended_holds_nothing(root: Path) -> None:
    left = LocalStore(root).stage("out.mp4", "job", NOWHERE)
    gc.collect()
    staged = LocalStore(root).stage("out.mp4", "job", NOWHERE)
    assert not left.exists()
    assert staged != left


def test_an_output_may_be_read_by_whom_the_user_allows(store: LocalStore, root: Path) -> None:
    before = os.umask(0o027)
    try:
        staged = store.stage("out.mp4", "job", NOWHERE)
    finally:
        os.umask(before)
    store.commit(staged, "out.mp4", lambda _: None)
    assert (root / "out.mp4").stat().st_mode & 0o777 == 0o640


def test_the_longest_name_that_a_file_can_have_is_one_for_an_output(store: LocalStore, root: Path) -> None:
    name = "x" * 251 + ".mp4"
    staged = store.stage(name, "j" * 128, NOWHERE)
    staged.write_bytes(b"finished")
    store.commit(staged, name, lambda _: None)
    assert (root / name).is_file()


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(store: LocalStore, root: Path) -> None:
    (root / "taken").mkdir()
    with pytest.raises(DestinationError, match=r"taken is a folder: the output must have the name of a file$"):
        store.stage("taken", "job", NOWHERE)
    with pytest.raises(
        DestinationError, match=r"^the folder .*alice\.webm cannot be made: (Not a directory|File exist)"
    ):
        store.stage("alice.webm/out.mp4", "job", NOWHERE)
    with pytest.raises(DestinationError, match=r"cannot be written: File name too long$"):
        store.stage("x" * 300 + ".mp4", "job", NOWHERE)


def test_a_folder_that_takes_no_files_is_a_destination_error() -> None:
    with pytest.raises(DestinationError, match=r"cannot be (written|made): "):  # /proc refuses root, too
        LocalStore(Path("/proc/self")).stage("out.mp4", "job", NOWHERE)


def test_committing_to_a_folder_that_went_away_is_a_destination_error(store: LocalStore, root: Path) -> None:
    staged = store.stage("out/out.mp4", "job", NOWHERE)
    shutil.rmtree(root / "out")
    with pytest.raises(DestinationError, match="cannot be written: No such file or directory"):
        store.commit(staged, "out/out.mp4", lambda _: None)


def test_a_file_that_cannot_be_looked_at_counts_as_there() -> None:
    """Whoever reads it tells why: its disk is gone, perhaps."""
    assert LocalCopy(Path("a" * 5000)).complete
    assert not LocalCopy(Path("none.mp4")).complete
