"""Where a store is: the address of the service, the networks it may be in, and whose keys may be sent there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from owtmix.base.errors import Problem, SpecError
from owtmix.jobfile.spec import StorageSpec
from owtmix.net.addresses import PRIVATE, Network
from owtmix.net.service_url import CredentialsInUrlError, service_url
from owtmix.storage.s3.options import S3Options

_BUCKET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_REGION: Final = re.compile(rf"(?!\d+\Z){_LABEL}")
"""One label of a host name: no region can turn the vendor's host into another one."""

_INTERNAL: Final = re.compile(rf"http://internal\.s3-{_LABEL}\.ufileos\.com")
_UFILE: Final = re.compile(rf"https://s3-{_LABEL}\.ufileos\.com")
_AWS: Final = re.compile(
    r"https://s3(?:-fips)?(?:\.dualstack)?(?:[.-][a-z]{2,}(?:-[a-z]+)*-\d+)?\.amazonaws\.com(?:\.cn)?"
)
"""The addresses of S3 itself. Others below ``amazonaws.com`` are customers' machines."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The service of a store.

    Attributes:
        url: Scheme, host and port, in normal form.
        allowed: The networks that the service may be in, besides the public ones.
        vendor: Whose own service it is; None for any other.
        is_own: Whether the settings name it.
    """

    url: str
    allowed: tuple[Network, ...]
    vendor: Literal["ucloud", "aws"] | None
    is_own: bool


def find_endpoint(spec: StorageSpec, options: S3Options, at: str) -> Endpoint:
    """Return the service of a store: ``Endpoint``, else that of a ``ucloud`` region.

    Args:
        spec: The store.
        options: Scheme and network of a ``ucloud`` endpoint, permitted networks, and the operator's own services.
        at: The JSON path of the store's ``StorageConfig``, for messages.

    Raises:
        SpecError: ``Endpoint`` is not just scheme, host and port, ``Region`` is no name of one, or both are missing.
    """
    url = endpoint_url(spec, options, at)
    internal = options.internal and bool(_INTERNAL.fullmatch(url))
    vendor: Literal["ucloud", "aws"] | None = None
    if internal or not spec.endpoint or _UFILE.fullmatch(url):
        vendor = "ucloud"
    elif _AWS.fullmatch(url):
        vendor = "aws"
    # The operator has chosen the vendor's internal network, whose names have private addresses.
    allowed = (*options.allowed, *(PRIVATE if internal else ()))
    return Endpoint(url, allowed, vendor, url in options.own_endpoints)


def endpoint_url(spec: StorageSpec, options: S3Options, at: str) -> str:
    """Return the address alone; arguments and errors as with ``find_endpoint``."""
    if spec.region and not _REGION.fullmatch(spec.region):
        raise SpecError(Problem(f"{at}.Region", "not a region such as cn-bj: letters, digits and dashes"))
    if spec.endpoint:
        return _checked_url(spec.endpoint, f"{at}.Endpoint")
    if spec.vendor != "ucloud" or not spec.region:
        missing = "Region" if spec.vendor == "ucloud" else "Endpoint"
        raise SpecError(Problem(f"{at}.{missing}", f"{spec.vendor} needs it"))
    host = f"s3-{spec.region}.ufileos.com"
    return _checked_url(f"http://internal.{host}" if options.internal else f"{options.scheme}://{host}", f"{at}.Region")


def check_bucket(spec: StorageSpec, at: str) -> None:
    """Raises ``SpecError`` where ``Bucket`` is no bucket: boto3 sends requests for others, such as ARNs, elsewhere."""
    if not _BUCKET_NAME.fullmatch(spec.bucket) or spec.bucket.endswith("--x-s3"):
        raise SpecError(Problem(f"{at}.Bucket", "not the name of a bucket: letters, digits, dots and dashes"))


def _checked_url(url: str, path: str) -> str:
    """Return ``url`` in normal form; raises ``SpecError`` about the JSON path ``path``."""
    # The value is not shown: it may hold a password.
    try:
        return service_url(url)
    except CredentialsInUrlError:
        without = "user and password"
    except ValueError:
        without = "folder and query"
    raise SpecError(Problem(path, f"not an address such as https://s3.example.com, without {without}"))
