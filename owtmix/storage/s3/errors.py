"""What can go wrong with an S3 service, each as one plain sentence. Foreign exceptions end here.

A ``StoreFailure`` holds nothing of the exception it stands for: those carry signed requests and the server's answer,
which quote key ids, signatures and session tokens.
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

from owtmix.document import printable
from owtmix.errors import DestinationError, StoreError

P = ParamSpec("P")
R = TypeVar("R")

_CHECK_ENDPOINT: Final = "check Endpoint or Region, and the network"

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
    "InvalidRange": "ends before the part that was asked for",
    "QuotaExceeded": "the bucket's quota is used up: free some space in it",
    "AuthorizationHeaderMalformed": "the store does not accept the region {region}: check Region",
}
"""What to say of an error code of the service; ``_SAME`` has more names for some."""

_SAME: Final = {
    "RequestExpired": "RequestTimeTooSkewed",
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "InsufficientStorage": "QuotaExceeded",
    "InvalidRegion": "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException": "AuthorizationHeaderMalformed",
}

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
    (foreign.ResponseStreamingError, "{endpoint} broke off in the middle: try again later"),
    (foreign.IncompleteReadError, "{endpoint} broke off in the middle: try again later"),
    (foreign.HTTPClientError, "the connection to {endpoint} fails: " + _CHECK_ENDPOINT),
)
"""The first that matches says it. All of them are worth another attempt."""


@dataclass(frozen=True, slots=True)
class Place:
    """What messages name: the service, and the bucket in it."""

    endpoint: str
    bucket: str
    region: str


class StoreFailure(Exception):  # noqa: N818 - never leaves the package: ``reading`` and ``writing`` turn it into ours
    """Why a request came to nothing.

    ``code`` is the service's word for it (``""`` without an answer) and ``status`` its HTTP status (0 likewise);
    ``transient`` says whether another attempt may succeed.
    """

    def __init__(self, sentence: str, *, code: str = "", status: int = 0, transient: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        self.status = status
        self.transient = transient

    def about(self, address: str) -> StoreFailure:
        """The same, with ``address`` before the sentence."""
        sentence = f"{address}: {self.sentence}"
        return StoreFailure(sentence, code=self.code, status=self.status, transient=self.transient)

    @property
    def is_missing(self) -> bool:
        """The service, and no web server that happens to be there, says that there is no such object."""
        return (
            self.code not in {"", str(self.status), "NoSuchBucket", "NoSuchUpload"}
            and self.status == HTTPStatus.NOT_FOUND
        )


def broken_off(address: str) -> StoreFailure:
    """An answer ended before the object did, without any error."""
    return StoreFailure(f"{address}: broke off in the middle: try again later", transient=True)


def explain(error: Exception, place: Place) -> StoreFailure:
    """What ``error`` means, from whatever part of the S3 library it comes."""
    if isinstance(error, foreign.ClientError):
        return _explain_answer(error.response, place)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error)):
        sentence = f"the certificate of {place.endpoint} is not trusted: check Endpoint, or name its CA's file"
        return StoreFailure(f"{sentence} in AWS_CA_BUNDLE")
    if any(isinstance(cause, socket.gaierror) for cause in causes(error)):
        return StoreFailure(f"the host of {place.endpoint} is not known: {_CHECK_ENDPOINT}", transient=True)
    for kind, sentence in _BY_EXCEPTION:
        if isinstance(error, kind):
            return StoreFailure(sentence.format(endpoint=place.endpoint), transient=True)
    return StoreFailure(f"{place.endpoint} does not answer like an S3 service ({type(error).__name__}): check Endpoint")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error``, and what it wraps: botocore keeps that in ``kwargs``, urllib3 in ``args`` and ``reason``."""
    while error is not None:
        yield error
        wrapped = [getattr(error, "kwargs", {}).get("error"), getattr(error, "reason", None), *error.args]
        error = next((one for one in (*wrapped, error.__context__) if isinstance(one, BaseException)), None)


def _explain_answer(response: dict[str, Any], place: Place) -> StoreFailure:
    """The meaning of an error answer. Its message is not shown: it may quote what was sent."""
    error = response.get("Error", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(error.get("Code") or "")
    code = _SAME.get(code, code) if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code) else ""
    transient = status in _TRANSIENT_STATUS or code in _TRANSIENT_CODES
    sentence = _BY_CODE.get(code, "").format(endpoint=place.endpoint, bucket=place.bucket, region=place.region)
    if code == "AuthorizationHeaderMalformed" and isinstance(region := error.get("Region"), str):
        sentence += f', which is "{printable(region, 40)}" there'
    return StoreFailure(sentence or _by_status(status, code, place), code=code, status=status, transient=transient)


def _by_status(status: int, code: str, place: Place) -> str:
    shown = f"{status} {code}" if code and code != str(status) else f"{status}"
    if status in _TRANSIENT_STATUS:
        return f"{place.endpoint} is overloaded or down, it answers {shown}: try again later"
    if 300 <= status < 400:  # noqa: PLR2004 - the redirects of HTTP
        return f"{place.endpoint} redirects elsewhere, which is not followed: check Region and Endpoint"
    if status in {401, 403}:
        return f"the store denies access ({shown}): check PublicKey, SecretKey and the rights of the key"
    if status in {404, 405} and code in {"", str(status)}:
        return f"{place.endpoint} does not answer like an S3 service ({shown}): check Endpoint"
    return f"the store refuses the request ({shown}): check Bucket, Region and Endpoint"


def reading(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Make a method's ``StoreFailure`` a ``StoreError``."""

    @functools.wraps(method)
    def guarded(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except StoreFailure as failure:
            message = failure.sentence
        raise StoreError(message)  # out here, so that nothing foreign travels along as its context

    return guarded


def writing(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Make a method's ``StoreFailure`` a ``DestinationError``."""

    @functools.wraps(method)
    def guarded(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except StoreFailure as failure:
            message, retryable = failure.sentence, failure.transient
        raise DestinationError(message, retryable=retryable)  # out here, as above

    return guarded
