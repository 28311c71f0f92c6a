"""A real S3 service, a proxy that breaks things in front of it, and stores that use them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import botocore.session  # type: ignore[import-untyped]
import pytest

from owtmix.jobfile.spec import StorageSpec
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.store import S3Store
from tests.conftest import attributed
from tests.storage.fault_proxy import PART_BYTES, FaultProxy
from tests.storage.swift_server import KEY_ID, REGION, SECRET, SwiftServer

AT: Final = "Data.RecordingConfig.StorageConfig"

QUICK: Final = S3Options(connect_timeout_s=3, read_timeout_s=3, first_pause_s=0.01, listing_page=2)
"""Five attempts with short pauses. On a busy machine, the service takes longer than a second for some requests."""

NOWHERE: Final = Path("/nowhere")
"""The folder of requests that write no file."""

_NUMBERS: Final = itertools.count(1)

MOVIE: Final = Random(5).randbytes(2 * PART_BYTES + 1000)
"""Three parts, the last a small one."""

CLIP: Final = MOVIE[:1_000_000]


def ignore(_done_bytes: int) -> None:
    """Nobody watches the progress."""


@dataclass(frozen=True)
class Service:
    """What a bucket has, seen past the code under test."""

    client: Any
    bucket: str
    endpoint: str

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return data

    def keys(self) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def begin(self, key: str) -> str:
        """Begin an upload that nobody ends."""
        upload_id: str = self.client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        return upload_id

    def unfinished(self) -> list[str]:
        """The keys of uploads that were begun and not ended."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    base = attributed(tmp_path_factory.mktemp("swift"))
    if base is None:
        pytest.skip("no extended attributes: OpenStack Swift cannot run")
    with tempfile.TemporaryDirectory(dir=base) as root, SwiftServer(Path(root)) as server:
        yield server


@pytest.fixture(scope="session")
def client(swift: SwiftServer) -> Any:
    session = botocore.session.Session()
    session.set_credentials(KEY_ID, SECRET)
    return session.create_client("s3", endpoint_url=swift.endpoint, region_name=REGION)


@pytest.fixture
def service(swift: SwiftServer, client: Any) -> Service:
    """An empty bucket."""
    bucket = f"room-{next(_NUMBERS)}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    return Service(client, bucket, swift.endpoint)


@pytest.fixture
def proxy(swift: SwiftServer) -> Iterator[FaultProxy]:
    with FaultProxy(swift.port) as proxy:
        yield proxy


@pytest.fixture
def spec(service: Service, proxy: FaultProxy) -> StorageSpec:
    """The bucket, reached through the proxy."""
    return StorageSpec("s3", service.bucket, REGION, proxy.endpoint, KEY_ID, SECRET)


@pytest.fixture
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a machine keeps the ids of its unfinished uploads."""
    return tmp_path_factory.mktemp("state") / "uploads"


@pytest.fixture
def open_s3(spec: StorageSpec, uploads: Path) -> Callable[..., S3Store]:
    """Opens the bucket; what is given differs from ``spec``."""
    return lambda **changes: S3Store(replace(spec, **changes), replace(QUICK, uploads=uploads), AT)


@pytest.fixture
def store(open_s3: Callable[..., S3Store]) -> S3Store:
    return open_s3()


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "out.mp4"
    path.write_bytes(MOVIE)
    return path
