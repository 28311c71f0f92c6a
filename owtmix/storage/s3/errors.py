"""Translate exceptions of boto3 and error answers of S3 services into one sentence that says what to change.

A ``StoreFailure`` does not refer to the exception that it translates: that one contains the signed request and the
answer of the service, which quote key ids, signatures and session tokens.
"""

from __future__ import annotations

import functools
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from botocore import exceptions as foreign  # type: ignore[import-untyped]  # botocore has no types

from owtmix.base.errors import DestinationError, MixError, Problem, SpecError, StoreError
from owtmix.base.strict_json import printable
from owtmix.net.addresses import AddressRefusedError, HostUnknownError
from owtmix.storage.s3.bounds import EndlessAnswerError

P = ParamSpec("P")
R = TypeVar("R")

_CHECK_ENDPOINT: Final = "check Endpoint or Region, and the network"
_BROKEN_OFF: Final = "broke off in the middle: try again later"
_OBJECT_BROKEN_OFF: Final = "its content breaks off before its end, whenever it is asked for"
_OBJECT_UNANSWERED: Final = "the store does not answer when it is asked for it"

_BY_CODE: Final = {
    "InvalidAccessKeyId": "the store does not know the key id: check PublicKey",
    "SignatureDoesNotMatch": "the secret does not belong to the key id: check PublicKey and SecretKey",
    "NoSuchBucket": "there is no bucket {bucket} at {endpoint}: check Bucket, and Region or Endpoint",
    "RequestTimeTooSkewed": "the store refuses the time of this machine: set its clock",
    "AccessDenied": "the store denies access: give the key the right to it, or check Bucket and the key",
    "ExpiredToken": "the session token of the key has expired: get a new key",
    "InvalidToken": "the store does not accept the session token of the key: get a new key",
    "NoSuchKey": "does not exist",
    "PreconditionFailed": "changed while it was read: run the job when nothing writes to it",
    "InvalidObjectState": "is in an archive of the store: restore it first",
    "InvalidRange": "ends before the part that was asked for",
    "QuotaExceeded": "the bucket's quota is used up: free some space in it",
    "AuthorizationHeaderMalformed": "the store does not accept the region {region}: check Region",
}
"""Messages by error code of the service; ``_ALIASES`` has more names for some codes."""

_ALIASES: Final = {
    "RequestExpired": "RequestTimeTooSkewed",
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "InsufficientStorage": "QuotaExceeded",
    "InvalidRegion": "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException": "AuthorizationHeaderMalformed",
}

_OBJECT_BY_CODE: Final = {
    "AccessDenied": "the store denies access to it: give the key the right to read it",
    "PreconditionFailed": "changed while it was read: run the job when nothing writes to it",
    "InvalidObjectState": "is in an archive of the store: restore it first",
}
"""The same for an object that alone cannot be had."""

_TRANSIENT_CODES: Final = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "InternalError",
        "PreconditionFailed",  # the next attempt finds the object as it is now
        "RequestTimeout",
        "SlowDown",
        "XAmzContentSHA256Mismatch",
    }
)
_TRANSIENT_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})

_BY_EXCEPTION: Final = (
    (foreign.ProxyConnectionError, "the proxy cannot be reached: check its address in the settings"),
    (foreign.SSLError, "the encrypted connection fails: check Endpoint, or use http where the store has no HTTPS"),
    (foreign.ConnectTimeoutError, "{endpoint} does not answer: " + _CHECK_ENDPOINT),
    (foreign.EndpointConnectionError, "{endpoint} cannot be reached: " + _CHECK_ENDPOINT),
    (foreign.ReadTimeoutError, "{endpoint} stopped answering: try again later"),
    (foreign.ConnectionClosedError, "{endpoint} broke the connection: try again later"),
    (foreign.ResponseStreamingError, "{endpoint} " + _BROKEN_OFF),
    (foreign.IncompleteReadError, "{endpoint} " + _BROKEN_OFF),
    (EndlessAnswerError, "{endpoint} does not end its answer: check Endpoint or Region"),
    (foreign.HTTPClientError, "the connection to {endpoint} fails: " + _CHECK_ENDPOINT),
)
"""Messages by exception; the first match is used. All of these failures may be temporary."""


@dataclass(frozen=True, slots=True)
class BucketLocation:
    """Service, bucket and region, for messages."""

    endpoint: str
    bucket: str
    region: str


class StoreFailure(Exception):  # noqa: N818 - internal: ``reading`` and ``writing`` turn it into errors of owtmix
    """A request failed.

    Attributes:
        sentence: The message for the user.
        of_object: The message where the store gives other objects, so that this one alone is at fault.
        code: The error code of the service; ``""`` when there was no answer.
        status: The HTTP status of the answer; 0 when there was none.
        transient: Whether another attempt may succeed.
        shortage: What this machine is short of, so that neither the store nor the object is to blame.
    """

    def __init__(
        self, sentence: str, *, of_object: str = "", code: str = "", status: int = 0, transient: bool = False
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.of_object = of_object or sentence
        self.code = code
        self.status = status
        self.transient = transient
        self.shortage: MixError | None = None

    def about(self, address: str) -> StoreFailure:
        """Return a copy with ``address`` before the message."""
        sentence = f"{address}: {self.sentence}"
        return type(self)(
            sentence, of_object=self.of_object, code=self.code, status=self.status, transient=self.transient
        )

    @property
    def is_missing(self) -> bool:
        """Whether an S3 service, not just some web server, answered that the object does not exist."""
        return (
            self.code not in {"", str(self.status), "NoSuchBucket", "NoSuchUpload"}
            and self.status == HTTPStatus.NOT_FOUND
        )


class RefusedEndpoint(StoreFailure):
    """The settings do not permit a connection to the service. The job file is to blame."""


def broken_off(address: str) -> StoreFailure:
    """Return the failure of an answer that ended before the object did, without any exception."""
    return StoreFailure(f"{address}: {_BROKEN_OFF}", of_object=_OBJECT_BROKEN_OFF, transient=True)


def explain(error: Exception, location: BucketLocation) -> StoreFailure:
    """Translate an exception of boto3, urllib3 or their dependencies."""
    if isinstance(error, foreign.ClientError):
        return _explain_answer(error.response, location)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error)):
        sentence = f"the certificate of {location.endpoint} is not trusted: check Endpoint, or name its CA's file"
        return StoreFailure(f"{sentence} in AWS_CA_BUNDLE")
    for cause in causes(error):
        if isinstance(cause, AddressRefusedError):
            return RefusedEndpoint(f"the service of the store is refused: {cause}")
    if any(isinstance(cause, (socket.gaierror, HostUnknownError)) for cause in causes(error)):
        return StoreFailure(f"the host of {location.endpoint} is not known: {_CHECK_ENDPOINT}", transient=True)
    for kind, sentence in _BY_EXCEPTION:
        if isinstance(error, kind):
            is_cut = isinstance(error, foreign.ResponseStreamingError | foreign.IncompleteReadError)
            of_object = _OBJECT_BROKEN_OFF if is_cut else _OBJECT_UNANSWERED
            return StoreFailure(sentence.format(endpoint=location.endpoint), of_object=of_object, transient=True)
    shown = type(error).__name__
    return StoreFailure(
        f"{location.endpoint} does not answer like an S3 service ({shown}): check Endpoint",
        of_object=f"the answer of the store about it cannot be understood ({shown})",
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield ``error`` and the exceptions that it wraps.

    botocore keeps a wrapped exception in ``kwargs``, urllib3 in ``args`` and ``reason``.
    """
    while error is not None:
        yield error
        wrapped = [getattr(error, "kwargs", {}).get("error"), getattr(error, "reason", None), *error.args]
        error = next((one for one in (*wrapped, error.__context__) if isinstance(one, BaseException)), None)


def _explain_answer(response: dict[str, Any], location: BucketLocation) -> StoreFailure:
    """Translate an error answer. Its message is not shown, since it may quote the request."""
    error = response.get("Error", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(error.get("Code") or "")
    code = _ALIASES.get(code, code) if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code) else ""
    transient = status in _TRANSIENT_STATUS or code in _TRANSIENT_CODES
    sentence = _BY_CODE.get(code, "").format(endpoint=location.endpoint, bucket=location.bucket, region=location.region)
    if code == "AuthorizationHeaderMalformed" and isinstance(region := error.get("Region"), str):
        sentence += f', which is "{printable(region, 40)}" there'
    shown = f"{status} {code}" if code and code != str(status) else f"{status}"
    answers = f"the store answers {shown} whenever it is asked for it"
    return StoreFailure(
        sentence or _by_status(status, shown, code, location),
        of_object=_OBJECT_BY_CODE.get(code, answers if transient else f"the store refuses it ({shown})"),
        code=code,
        status=status,
        transient=transient,
    )


def _by_status(status: int, shown: str, code: str, location: BucketLocation) -> str:
    if status in _TRANSIENT_STATUS:
        return f"{location.endpoint} is overloaded or down, it answers {shown}: try again later"
    if 300 <= status < 400:  # noqa: PLR2004 - the redirects of HTTP
        return f"{location.endpoint} redirects elsewhere, which is not followed: check Region and Endpoint"
    if status in {401, 403}:
        return f"the store denies access ({shown}): check PublicKey, SecretKey and the rights of the key"
    if status in {404, 405} and code in {"", str(status)}:
        return f"{location.endpoint} does not answer like an S3 service ({shown}): check Endpoint"
    return f"the store refuses the request ({shown}): check Bucket, Region and Endpoint"


def reading(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Decorate a method that reads: it raises ``StoreError`` or ``SpecError`` in place of ``StoreFailure``."""

    @functools.wraps(method)
    def guarded(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except RefusedEndpoint as failure:
            error: MixError = _refusal(self, failure)
        except StoreFailure as failure:
            is_refusal = failure.status > 0 and not failure.transient
            is_denial = is_refusal and failure.code in {"AccessDenied", "", str(HTTPStatus.FORBIDDEN.value)}
            blame = StoreError(
                failure.sentence,
                of_object=failure.of_object,
                is_refusal=is_refusal,
                is_denial=is_denial and failure.status == HTTPStatus.FORBIDDEN,
            )
            error = failure.shortage or blame
        raise error  # outside of the handler: no exception context

    return guarded


def writing(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Decorate a method that writes: it raises ``DestinationError`` or ``SpecError`` in place of ``StoreFailure``."""

    @functools.wraps(method)
    def guarded(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except RefusedEndpoint as failure:
            error: MixError = _refusal(self, failure)
        except StoreFailure as failure:
            error = failure.shortage or DestinationError(failure.sentence, retryable=failure.transient)
        raise error  # outside of the handler, as above

    return guarded


def _refusal(store: Any, failure: StoreFailure) -> SpecError:
    return SpecError(Problem(f"{store.at}.Endpoint", failure.sentence))
