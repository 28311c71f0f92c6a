"""A store behind the S3 protocol, against a real service."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from owtmix.base.errors import DestinationError, InputError
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage import LocalCopy, tells_content
from owtmix.storage.s3 import unfinished
from owtmix.storage.s3.credentials import Credentials
from owtmix.storage.s3.download import partial_file
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store
from owtmix.storage.s3.unfinished import OwnUploads
from tests.storage.conftest import AT, MOVIE, NOWHERE, QUICK, Service, ignore
from tests.storage.fault_proxy import PART_BYTES, Answer, Exchange, Fault, FaultProxy, Us3Profile, answered, passed

ODD_KEYS = ["room/alice 1.webm", "会议/爱丽丝.webm", "a+b&c=d?e#f.mp4", "100%25.mp4", "~tilde'(1)*.mp4"]


def test_an_object_has_a_size_and_what_is_missing_has_none(store: S3Store, service: Service) -> None:
    service.put("room/a.webm", bytes(1000))
    service.put("room/empty", b"")
    assert store.locate("room/a.webm", NOWHERE).size_bytes == 1000
    assert store.locate("room/empty", NOWHERE).size_bytes == 0
    with pytest.raises(InputError, match=r"^does not exist$"):
        store.locate("room/b.webm", NOWHERE)


def test_a_small_object_is_read_whole(store: S3Store, service: Service) -> None:
    service.put("index.json", b"{}")
    service.put("empty.json", b"")
    assert store.read("index.json", 2) == b"{}"
    assert store.read("empty.json", 2) == b""
    assert store.read("other.json", 2) is None


def test_a_large_object_is_not_read_as_a_small_one(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    service.put("index.json", bytes(1_000_000))
    with pytest.raises(InputError, match=r"index\.json: is larger than 999,999 bytes"):
        store.read("index.json", 999_999)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(("start", "length", "expected"), [(0, 4, b"0123"), (3, 2, b"34"), (8, 9, b"89"), (10, 1, b"")])
def test_parts_of_an_object(store: S3Store, service: Service, start: int, length: int, expected: bytes) -> None:
    service.put("a.mp4", b"0123456789")
    assert store.read_part("a.mp4", LocalCopy(NOWHERE), start, length) == expected


def test_parts_are_of_one_version_or_none(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    service.put("a.mp4", b"0123456789")
    found = store.locate("a.mp4", NOWHERE)
    etag = str(found.version)
    assert store.read_part("a.mp4", found, 3, 2) == b"34"
    service.put("a.mp4", b"9876543210")
    assert store.read_part("a.mp4", found, 3, 2) is None
    proxy.inject(answered(Answer(200, {"ETag": '"other"'}, b"9876543210")))  # not every store knows conditions
    assert store.read_part("a.mp4", found, 0, 2) is None
    proxy.inject(answered(Answer(200, {"ETag": etag}, b"0123456789")))  # nor ranges
    assert store.read_part("a.mp4", found, 3, 2) is None
    service.client.delete_object(Bucket=service.bucket, Key="a.mp4")
    assert store.read_part("a.mp4", found, 3, 2) is None
    assert len(proxy.requests) == 6


@pytest.mark.parametrize("etag", [{}, {"ETag": '"0"'}], ids=["none", "one for all"])
def test_where_etags_say_nothing_the_time_tells_versions_apart(
    store: S3Store, proxy: FaultProxy, etag: dict[str, str]
) -> None:
    def of_day(day: int, data: bytes, part: str) -> Fault:
        changed = format_datetime(datetime(2026, 1, day, tzinfo=UTC), usegmt=True)
        return answered(Answer(206, {"Last-Modified": changed, "Content-Range": f"bytes {part}/10", **etag}, data))

    for day in (1, 1, 2):
        proxy.inject(of_day(day, b"0", "0-0"))
    first, again, other = (store.locate("a.mp4", NOWHERE) for _ in range(3))
    assert again == first
    assert other.path != first.path
    assert not tells_content(str(first.version))
    for day in (1, 2):
        proxy.inject(of_day(day, b"34", "3-4"))
    assert store.read_part("a.mp4", first, 3, 2) == b"34"
    assert store.read_part("a.mp4", first, 3, 2) is None
    assert {request.headers.get("if-match") for request in proxy.requests} == {None, etag.get("ETag")}


def test_a_download_appears_when_it_is_complete(store: S3Store, service: Service, tmp_path: Path) -> None:
    service.put("a.webm", MOVIE)
    path = tmp_path / "1.webm"
    seen: list[int] = []

    def watch(done_bytes: int) -> None:
        assert not path.exists()
        seen.append(done_bytes)

    store.fetch("a.webm", LocalCopy(path, len(MOVIE)), watch)
    assert path.read_bytes() == MOVIE
    assert list(tmp_path.iterdir()) == [path]
    assert seen == sorted(seen)
    assert seen[-1] == len(MOVIE)


def test_an_empty_object_becomes_an_empty_file(store: S3Store, service: Service, tmp_path: Path) -> None:
    service.put("a.webm", b"")
    store.fetch("a.webm", LocalCopy(tmp_path / "1.webm", 0), ignore)
    assert (tmp_path / "1.webm").read_bytes() == b""


def test_an_object_of_another_size_is_not_downloaded(store: S3Store, service: Service, tmp_path: Path) -> None:
    service.put("a.webm", bytes(100))
    with pytest.raises(InputError, match=r"^has 100 bytes now and had 99 before"):
        store.fetch("a.webm", LocalCopy(tmp_path / "1.webm", 99), ignore)
    assert not list(tmp_path.iterdir())


def test_a_missing_object_is_not_downloaded(store: S3Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^does not exist"):
        store.fetch("a.webm", LocalCopy(tmp_path / "1.webm", 1), ignore)


@pytest.mark.parametrize("size", [1, PART_BYTES, PART_BYTES + 1, len(MOVIE)])
def test_an_upload_of_any_size_suits_ufile(
    store: S3Store, service: Service, proxy: FaultProxy, tmp_path: Path, size: int
) -> None:
    proxy.act_like(Us3Profile())
    path = tmp_path / "out.mp4"
    path.write_bytes(MOVIE[:size])
    seen: list[int] = []
    store.commit(path, "out/1.mp4", seen.append)
    assert service.get("out/1.mp4") == MOVIE[:size]
    assert not service.unfinished()
    assert seen == sorted(seen)
    assert seen[-1] == size
    assert not any("x-amz-acl" in request.headers for request in proxy.requests)
    assert not any("x-amz-trailer" in request.headers for request in proxy.requests)
    assert not any(name.startswith("x-amz-checksum") for request in proxy.requests for name in request.headers)


def test_an_upload_replaces_what_was_there(store: S3Store, service: Service, tmp_path: Path) -> None:
    service.put("out.mp4", b"before")
    path = tmp_path / "out.mp4"
    path.write_bytes(b"after")
    store.commit(path, "out.mp4", ignore)
    assert service.get("out.mp4") == b"after"


def test_an_output_that_no_upload_can_take_is_refused_before_anything_is_sent(
    store: S3Store, proxy: FaultProxy, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    with path.open("wb") as file:
        file.truncate(10_000 * PART_BYTES + 1)
    with pytest.raises(DestinationError, match="takes at most 83,886,080,000: lower BitRate"):
        store.commit(path, "out.mp4", ignore)
    assert not proxy.requests


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys_of_all_kinds(store: S3Store, service: Service, tmp_path: Path, key: str) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"movie")
    store.commit(path, key, ignore)
    assert service.keys() == [key]
    assert store.read(key, 100) == b"movie"


def test_a_copy_is_named_by_key_and_version_and_knows_what_an_earlier_run_fetched(
    store: S3Store, service: Service, tmp_path: Path
) -> None:
    service.put("a.webm", b"0123456789")
    first = store.locate("a.webm", tmp_path)
    assert (first.size_bytes, first.present_bytes, first.complete) == (10, 0, False)
    partial_file(first.path, str(first.version)).write_bytes(b"0123")
    assert store.locate("a.webm", tmp_path) == replace(first, present_bytes=4)
    store.fetch("a.webm", first, ignore)
    assert store.locate("a.webm", tmp_path).complete
    service.put("a.webm", b"9876543210")
    second = store.locate("a.webm", tmp_path)
    assert second.path != first.path
    assert not second.complete


def test_old_uploads_are_aborted(store: S3Store, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        service.begin("out.mp4")  # more than two pages of the list
    service.begin("out.mp4.other")
    monkeypatch.setattr(unfinished, "ALIVE_FOR", timedelta(minutes=-1))
    assert store.stage("out.mp4", "job", NOWHERE) == NOWHERE / "job.mp4"
    assert service.unfinished() == ["out.mp4.other"]


def test_an_upload_of_another_machine_goes_on(store: S3Store, service: Service, uploads: Path) -> None:
    """A duplicate of the job begins here while that one sends its output."""
    service.begin("out.mp4")
    OwnUploads(uploads).remember(store.address("out.mp4"), service.begin("out.mp4"))
    store.stage("out.mp4", "job", NOWHERE)
    assert service.unfinished() == ["out.mp4"]
    store.stage("out.mp4", "job", NOWHERE)
    assert service.unfinished() == ["out.mp4"]


def test_two_machines_upload_the_same_output(
    spec: StorageSpec, service: Service, proxy: FaultProxy, movie: Path, tmp_path: Path
) -> None:
    first, second = (S3Store(spec, replace(QUICK, uploads=tmp_path / name), AT) for name in ("a", "b"))
    first.stage("out.mp4", "job", NOWHERE)

    def duplicate(exchange: Exchange) -> None:
        second.stage("out.mp4", "job", NOWHERE)
        second.commit(movie, "out.mp4", ignore)
        passed(exchange)

    proxy.inject(duplicate, only=lambda request: request.part == 2)
    first.commit(movie, "out.mp4", ignore)
    assert service.get("out.mp4") == MOVIE
    assert not service.unfinished()
    assert not [*tmp_path.glob("[ab]/*")]


def test_an_address_says_where_an_object_is(store: S3Store, service: Service, proxy: FaultProxy) -> None:
    url = f"{proxy.endpoint}/{service.bucket}/out/a%20b.mp4"
    assert store.address("out/a b.mp4") == store.identity("out/a b.mp4") == url


def test_a_store_shows_no_key(spec: StorageSpec) -> None:
    key = Credentials("canary-id", "canary-secret", "canary-token", "a test")
    assert "canary" not in repr(S3Store(spec, S3Options(), AT, key)) + repr(key)
