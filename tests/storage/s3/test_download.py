"""Downloads that are cut, and objects that change meanwhile."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError, InputError, StoreError
from owtmix.storage import LocalCopy
from owtmix.storage.s3.store import S3Store
from tests.storage.conftest import CLIP, MOVIE, NOWHERE, QUICK, Service, ignore
from tests.storage.fault_proxy import (
    PART_BYTES,
    Answer,
    Exchange,
    Fault,
    FaultProxy,
    answered,
    flipped_answer,
    is_content,
    passed,
    refused,
    reset,
    stalled,
    truncated,
)

CUTS = [truncated(600_000), reset(600_000), stalled(600_000)]
CUT_NAMES = ["truncated", "reset", "stalled"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "downloads"
    path.mkdir()
    return path


@pytest.mark.parametrize("cut", CUTS, ids=CUT_NAMES)
def test_a_download_goes_on_where_it_was_cut(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path, cut: Fault
) -> None:
    service.put("a.webm", CLIP)
    proxy.inject(cut, only=is_content)
    store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP
    first, second = (request for request in proxy.requests if is_content(request))
    assert first.sent_bytes == 600_000
    assert first.sent_bytes + second.sent_bytes - len(CLIP) <= 256 * 1024


@pytest.mark.parametrize("cut", CUTS, ids=CUT_NAMES)
def test_what_is_read_at_once_is_read_again_after_a_cut(
    store: S3Store, service: Service, proxy: FaultProxy, cut: Fault
) -> None:
    service.put("a.webm", CLIP)
    proxy.inject(cut, only=is_content)
    assert store.read("a.webm", len(CLIP)) == CLIP
    proxy.inject(cut, only=is_content)
    assert store.read_part("a.webm", LocalCopy(NOWHERE), 10, 700_000) == CLIP[10:700_010]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(
    open_s3: Callable[..., S3Store], service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)
    proxy.inject(truncated(100_000), times=QUICK.attempts, only=is_content)
    with pytest.raises(InputError, match="broke off in the middle: try again later"):
        open_s3().fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
    assert not (folder / "1.webm").exists()
    open_s3().fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP
    assert sum(request.sent_bytes for request in proxy.requests if is_content(request)) == len(CLIP)
    assert len(list(folder.iterdir())) == 1


def test_a_large_file_arrives_over_a_line_that_is_cut_again_and_again(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    movie = MOVIE * 3
    service.put("a.webm", movie)
    proxy.inject(truncated(PART_BYTES + 1), times=QUICK.attempts + 1, only=is_content)
    store.fetch("a.webm", LocalCopy(folder / "1.webm", len(movie)), ignore)
    assert (folder / "1.webm").read_bytes() == movie


def test_what_was_there_before_is_no_progress_when_it_comes_again(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    """By turns more than is progress comes, and nothing, both from the first byte on."""
    movie = MOVIE * 3
    service.put("a.webm", movie)
    etag = service.client.head_object(Bucket=service.bucket, Key="a.webm")["ETag"]
    contents = itertools.count()

    def cut(exchange: Exchange) -> None:
        exchange.reply(Answer(200, {"ETag": etag}, movie), (PART_BYTES + 1, 0)[next(contents) % 2])

    proxy.inject(cut, times=3 * QUICK.attempts, only=is_content)
    with pytest.raises(StoreError, match="broke off in the middle"):
        store.fetch("a.webm", LocalCopy(folder / "1.webm", len(movie)), ignore)
    assert next(contents) <= QUICK.attempts + 1


def test_an_unfinished_file_that_vanishes_is_fetched_again(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)
    removed: list[Path] = []

    def remove(done_bytes: int) -> None:
        if done_bytes == len(CLIP) and not removed:
            removed.extend(folder.glob(".*.part"))
            removed[0].unlink()

    store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), remove)
    assert (folder / "1.webm").read_bytes() == CLIP
    assert len([request for request in proxy.requests if is_content(request)]) == 2


def test_an_object_that_changed_is_fetched_anew(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    changed = bytes(reversed(CLIP))
    service.put("a.webm", CLIP)
    cut = truncated(600_000)

    def change(exchange: object) -> None:
        cut(exchange)  # type: ignore[arg-type]
        service.put("a.webm", changed)

    proxy.inject(change, only=is_content)
    store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
    assert (folder / "1.webm").read_bytes() == changed
    assert len(list(folder.iterdir())) == 1


def test_a_change_between_question_and_answer_is_noticed(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    changed = bytes(reversed(CLIP))
    service.put("a.webm", CLIP)
    proxy.inject(truncated(600_000), only=is_content)
    proxy.inject(refused(412, "PreconditionFailed"), only=is_content)
    proxy.inject(answered(Answer(200, {"ETag": '"new"'}, changed)), only=is_content)
    store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP
    assert all("if-match" in request.headers for request in proxy.requests if is_content(request))
    assert [request.headers.get("range") for request in proxy.requests if is_content(request)] == [
        "bytes=0-",
        *["bytes=600000-"] * 3,
    ]


def test_where_only_one_version_will_do_no_other_is_fetched(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)
    etag = service.client.head_object(Bucket=service.bucket, Key="a.webm")["ETag"]
    store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP), version=etag), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP
    service.put("a.webm", bytes(reversed(CLIP)))
    proxy.requests.clear()
    with pytest.raises(InputError, match="changed since it was measured: run the job when nothing writes to it"):
        store.fetch("a.webm", LocalCopy(folder / "2.webm", len(CLIP), version=etag), ignore)
    assert len(proxy.requests) == 1


def test_an_object_that_vanishes_meanwhile_is_missing(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)

    def vanish(exchange: Exchange) -> None:
        service.client.delete_object(Bucket=service.bucket, Key="a.webm")
        passed(exchange)

    proxy.inject(vanish, only=is_content)
    with pytest.raises(InputError, match=r"^does not exist$") as raised:
        store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
    assert not isinstance(raised.value, StoreError)
    assert len(proxy.requests) == 2


def test_a_store_without_ranges_sends_everything_again(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)
    etag = service.client.head_object(Bucket=service.bucket, Key="a.webm")["ETag"]
    proxy.inject(truncated(600_000), only=is_content)
    proxy.inject(answered(Answer(200, {"ETag": etag}, CLIP)), only=is_content)
    store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
    assert (folder / "1.webm").read_bytes() == CLIP


def test_a_flipped_bit_keeps_the_size_and_is_for_the_decoder_to_find(
    store: S3Store, service: Service, proxy: FaultProxy, folder: Path
) -> None:
    service.put("a.webm", CLIP)
    proxy.inject(flipped_answer, only=is_content)
    store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
    received = (folder / "1.webm").read_bytes()
    assert sum(a != b for a, b in zip(received, CLIP, strict=True)) == 1


def test_a_full_disk(store: S3Store, service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service.put("a.webm", CLIP)
    # No link to the device is followed.
    monkeypatch.setattr("owtmix.storage.s3.download.own_file", lambda _, __: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(DestinationError, match="cannot be written: the disk is full, free some space"):
        store.fetch("a.webm", LocalCopy(folder / "1.webm", len(CLIP)), ignore)
