"""One bucket of an S3 service: where it is, and requests to it with a bounded number of attempts."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import re
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import botocore.session  # type: ignore[import-untyped]  # botocore has no types
from botocore.config import Config  # type: ignore[import-untyped]

from owtmix.backoff import pause_s
from owtmix.errors import Interrupted, Problem, SpecError
from owtmix.spec.job import StorageSpec
from owtmix.storage.s3.credentials import Credentials
from owtmix.storage.s3.errors import Place, StoreFailure, causes, explain
from owtmix.storage.s3.options import S3Options

T = TypeVar("T")

DEFAULT_REGION: Final = "us-east-1"
"""What requests to an ``s3`` store are signed for when the job names no region; most services accept it."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")

_CONNECTIONS: Final = 32
"""Connections kept for later requests; more are made when more threads ask at once."""


def endpoint_url(spec: StorageSpec, options: S3Options, at: str) -> str:
    """The address of the service: ``Endpoint``, else that of a ``ucloud`` region.

    Args:
        spec: The store.
        options: Scheme and network of a ``ucloud`` endpoint.
        at: The JSON path of the store's ``StorageConfig``, for messages.

    Raises:
        SpecError: ``Endpoint`` is more or less than scheme, host and port, or it is missing and so is the region.
    """
    if spec.endpoint:
        return _checked(spec.endpoint, f"{at}.Endpoint")
    if spec.vendor != "ucloud" or not spec.region:
        missing = "Region" if spec.vendor == "ucloud" else "Endpoint"
        raise SpecError(Problem(f"{at}.{missing}", f"{spec.vendor} needs it"))
    host = f"s3-{spec.region}.ufileos.com"
    return _checked(f"http://internal.{host}" if options.internal else f"{options.scheme}://{host}", f"{at}.Region")


def _checked(url: str, path: str) -> str:
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        parts = None
    # The value is not shown: it may hold a password.
    if parts is None or parts.scheme not in {"http", "https"} or parts.username or parts.password:
        raise SpecError(Problem(path, "not an address such as https://s3.example.com, without user and password"))
    host = parts.netloc.removesuffix(port)
    if not _HOST.fullmatch(host) or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise SpecError(Problem(path, "not an address such as https://s3.example.com, without folder and query"))
    return f"{parts.scheme}://{host.lower()}{port}"


class Bucket:
    """Requests to one bucket. Every method may be called from any thread.

    Args:
        spec: The store.
        credentials: The key for it.
        options: How it is spoken to.
        at: The JSON path of its ``StorageConfig``, for messages.

    Raises:
        SpecError: ``Endpoint`` or ``Bucket`` cannot be right.
    """

    def __init__(self, spec: StorageSpec, credentials: Credentials, options: S3Options, at: str) -> None:
        # A name of another shape, such as an ARN, would send requests somewhere else than to the endpoint.
        if not _BUCKET.fullmatch(spec.bucket) or spec.bucket.endswith("--x-s3"):
            raise SpecError(Problem(f"{at}.Bucket", "not the name of a bucket: letters, digits, dots and dashes"))
        self._place = Place(endpoint_url(spec, options, at), spec.bucket, spec.region or DEFAULT_REGION)
        self._options = options
        self._client = _open_client(self._place, credentials, options)

    def __repr__(self) -> str:
        return f"Bucket({self.address('')!r})"

    def address(self, key: str) -> str:
        """The URL of an object, without any signature."""
        return f"{self._place.endpoint}/{self._place.bucket}/{quote(key)}"

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One attempt at an operation of the S3 interface, such as ``get_object``.

        Raises:
            StoreFailure: It came to nothing.
        """
        return self.guard(
            lambda: getattr(self._client, operation)(Bucket=self._place.bucket, **parameters), parameters.get("Key", "")
        )

    def guard(self, call: Callable[[], T], key: str) -> T:
        """Run ``call``, which talks to the service about ``key``, and explain whatever it raises.

        Raises:
            StoreFailure: It raised something.
            Interrupted: The run is to end. The library takes that for an error of the connection.
        """
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the library lets errors of many kinds out
            interrupted = next((cause for cause in causes(error) if isinstance(cause, Interrupted)), None)
            failure = interrupted or explain(error, self._place).about(self.address(key))
        raise failure

    def persist(self, task: Callable[[], T], stop: threading.Event | None = None) -> T:
        """Repeat ``task`` while it fails in a way that may pass, at most ``options.attempts`` times.

        Args:
            task: Makes requests.
            stop: Ends the pauses between attempts, and the attempts with them.

        Raises:
            StoreFailure: The last attempt's.
        """
        stop = stop or threading.Event()
        options = self._options
        for attempt in itertools.count(1):
            try:
                return task()
            except StoreFailure as failure:
                if not failure.transient or attempt >= options.attempts:
                    raise
                if stop.wait(pause_s(attempt, options.first_pause_s, options.longest_pause_s)):
                    raise
        raise AssertionError  # the counter has no end


def _open_client(place: Place, credentials: Credentials, options: S3Options) -> Any:
    """A client of botocore that takes nothing from the environment but the name of a file of trusted authorities."""
    for library in ("botocore", "urllib3"):
        # Their debug lines hold session tokens and signatures.
        logging.getLogger(library).setLevel(logging.WARNING)
    client = _session().create_client(
        "s3",
        endpoint_url=place.endpoint,
        region_name=place.region,
        aws_access_key_id=credentials.key_id,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path", "payload_signing_enabled": True, "use_accelerate_endpoint": False},
            # UFile understands neither trailers nor checksum headers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=options.connect_timeout_s,
            read_timeout=options.read_timeout_s,
            max_pool_connections=_CONNECTIONS,
            proxies={"http": options.proxy, "https": options.proxy} if options.proxy else {},
            defaults_mode="legacy",
            use_dualstack_endpoint=False,
            use_fips_endpoint=False,
            tcp_keepalive=True,
        ),
    )
    client.meta.events.register_last("before-parameter-build.s3", _stay)
    return client


@functools.cache
def _session() -> Any:
    """One for all clients: it keeps the description of the interface, which takes long to read. It knows no files."""
    return botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )


def _stay(context: dict[str, Any], **_: object) -> None:
    """Tell botocore that it has followed the service to another region already, so that it never does."""
    context["s3_redirect"]["redirected"] = True
