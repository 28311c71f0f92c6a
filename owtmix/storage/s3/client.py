"""Requests to one bucket of an S3 service through boto3, with a limited number of attempts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

from botocore.config import Config  # type: ignore[import-untyped]  # botocore has no types
from botocore.exceptions import InvalidRegionError  # type: ignore[import-untyped]  # as above
from botocore.handlers import add_expect_header  # type: ignore[import-untyped]  # as above

from owtmix.base.backoff import pause_s
from owtmix.base.errors import Interrupted, Problem, SpecError
from owtmix.base.shortage import machine_error
from owtmix.jobfile.spec import StorageSpec
from owtmix.storage.s3.bounds import COMPLETION_S, SLOWEST_BYTES_PER_S, bound_answers, within
from owtmix.storage.s3.connections import check_connections
from owtmix.storage.s3.credentials import Credentials
from owtmix.storage.s3.endpoint import Endpoint, check_bucket
from owtmix.storage.s3.errors import BucketLocation, StoreFailure, causes, explain
from owtmix.storage.s3.options import S3Options
from owtmix.storage.s3.session import mute_library_logs, open_session

T = TypeVar("T")

DEFAULT_REGION: Final = "us-east-1"
"""The region for signatures when the job names none; most services accept it."""

_CONNECTIONS: Final = 32
"""Idle connections that are kept; more are opened when more threads make requests at the same time."""


class BucketClient:
    """Requests to one bucket. Every method may be called from any thread.

    Args:
        spec: The store.
        endpoint: Its service.
        credentials: The access key.
        options: Connection settings.
        at: The JSON path of the store's ``StorageConfig``, for messages.

    Raises:
        SpecError: ``Bucket`` is not valid.
    """

    def __init__(
        self, spec: StorageSpec, endpoint: Endpoint, credentials: Credentials, options: S3Options, at: str
    ) -> None:
        check_bucket(spec, at)
        self._location = BucketLocation(endpoint.url, spec.bucket, spec.region or DEFAULT_REGION)
        self._options = options
        try:
            self._client = _open_client(self._location, credentials, options)
        except InvalidRegionError:
            raise SpecError(Problem(f"{at}.Region", "not the name of a region such as cn-bj or us-east-1")) from None
        if not options.proxy:  # which else makes the connections
            check_connections(self._client, endpoint.allowed)
        bound_answers(self._client)

    def __repr__(self) -> str:
        return f"BucketClient({self.address('')!r})"

    @property
    def name(self) -> str:
        """The name of the bucket."""
        return self._location.bucket

    @property
    def host(self) -> str:
        """The host of the service, and its port if that is not the usual one."""
        return self._location.endpoint.partition("://")[2]

    def address(self, key: str) -> str:
        """Return the URL of an object, without a signature."""
        return f"{self._location.endpoint}/{self._location.bucket}/{quote(key)}"

    def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation of the S3 API, such as ``get_object``, once.

        Raises:
            StoreFailure: The request failed, or is not answered in time.
        """
        call = partial(getattr(self._client, operation), Bucket=self._location.bucket, **parameters)
        seconds = self.patience_s + len(parameters.get("Body", b"")) / SLOWEST_BYTES_PER_S
        if operation == "complete_multipart_upload":
            seconds += COMPLETION_S
        return self.translate_errors(lambda: within(seconds, call), parameters.get("Key", ""))

    @property
    def patience_s(self) -> float:
        """Seconds after which a request has failed though something comes now and then."""
        return self._options.connect_timeout_s + 2 * self._options.read_timeout_s

    def translate_errors(self, call: Callable[[], T], key: str) -> T:
        """Return the result of ``call``, which makes a request about ``key`` or reads its answer.

        Raises:
            StoreFailure: ``call`` raised any exception.
            Interrupted: A signal ended the run; boto3 wraps that in an error of the connection.
        """
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - exceptions of boto3, urllib3 and the XML parser
            interrupted = next((cause for cause in causes(error) if isinstance(cause, Interrupted)), None)
            failure = interrupted or explain(error, self._location).about(self.address(key))
            if isinstance(failure, StoreFailure):
                failure.shortage = next((lack for cause in causes(error) if (lack := machine_error(cause))), None)
                failure.transient |= failure.shortage is not None
        raise failure

    def retry(self, task: Callable[[], T], stop: threading.Event | None = None) -> T:
        """Return the result of ``task``, which is repeated after temporary failures, with growing pauses.

        Args:
            task: Makes requests.
            stop: When set, ends the current pause, and no further attempt is made.

        Raises:
            StoreFailure: The failure of the last attempt, of at most ``options.attempts``.
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
        raise AssertionError  # not reached: the counter has no end


def _open_client(location: BucketLocation, credentials: Credentials, options: S3Options) -> Any:
    """Return a boto3 client. Of the environment, it uses only ``AWS_CA_BUNDLE``, a file of trusted certificates."""
    mute_library_logs()
    client = _session().client(
        "s3",
        endpoint_url=location.endpoint,
        region_name=location.region,
        aws_access_key_id=credentials.key_id,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path", "payload_signing_enabled": True, "use_accelerate_endpoint": False},
            # UFile supports neither trailers nor checksum headers.
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
    client.meta.events.register_last("before-parameter-build.s3", _disable_region_redirect)
    # Waiting for "100 Continue", botocore reads the first line of the answer byte by byte, however long it is.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


@cache
def _session() -> Any:
    """Return the session of all clients. It caches the model of the S3 API, which takes long to load."""
    return open_session()


def _disable_region_redirect(context: dict[str, Any], **_: object) -> None:
    """Mark a request as redirected already, so that botocore does not repeat it in the region that an answer names."""
    context["s3_redirect"]["redirected"] = True
