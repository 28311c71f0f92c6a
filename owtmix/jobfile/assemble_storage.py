"""The stores of a job, and the keys of the output and the index in them."""

from __future__ import annotations

import re
from typing import Final

from owtmix.base.strict_json import Loc
from owtmix.jobfile.object_key import normal_key, substitute_variables
from owtmix.jobfile.problems import Findings
from owtmix.jobfile.spec import StorageSpec
from owtmix.jobfile.wire import Internal, StorageConfig

_MEDIA_EXTENSION = re.compile(r"\.(mp4|m4v|mov|m4a|webm|mkv|mka|avi|flv|ts)$", re.IGNORECASE)
_JOB_ID: Final[Loc] = ("Internal", "JobId")


def storage_spec(wire: StorageConfig, loc: Loc, findings: Findings) -> StorageSpec:
    """The store at ``loc``. Access keys that are not given are None: they may come from the environment."""
    vendor = (*loc, "Vendor")
    region, endpoint = (*loc, "Region"), (*loc, "Endpoint")
    if wire.vendor == "ucloud" and not wire.region and findings.is_clean(vendor, region):
        findings.wrong_value(region, 'the region, such as "cn-bj", which ucloud needs')
    if wire.vendor == "s3" and not wire.endpoint and findings.is_clean(vendor, endpoint):
        findings.wrong_value(endpoint, "the address of the service, which s3 needs")
    return StorageSpec(
        vendor=wire.vendor,
        bucket=wire.bucket,
        region=wire.region or None,
        endpoint=wire.endpoint or None,
        public_key=wire.public_key or None,
        secret_key=wire.secret_key or None,
    )


def output_key(prefix: str, container: str, loc: Loc, internal: Internal, findings: Findings) -> str:
    """The key of the output: ``prefix`` with the extension of ``container``; the file name defaults to the job id."""
    folder, slash, name = prefix.rpartition("/")
    name = _MEDIA_EXTENSION.sub("", name).strip()
    if name in {"", "."}:
        name = "$JobId"
    return _key(folder + slash + name, f".{container}", loc, internal, findings)


def index_key(name: str, loc: Loc, internal: Internal, findings: Findings) -> str | None:
    """The key of the index; None when the job does not set one."""
    return _key(name, "", loc, internal, findings) if name else None


def _key(text: str, extension: str, loc: Loc, internal: Internal, findings: Findings) -> str:
    """Substitute variables in ``text``, add ``extension``, and normalize the key. Problems are reported at ``loc``."""
    if not findings.is_clean(_JOB_ID, loc):
        return ""
    key, missing = substitute_variables(text, internal.job_id, internal.room_id, internal.app_id)
    if missing:
        findings.problem(loc, f"${missing[0]} is used, but Internal.{missing[0]} is missing")
        return ""
    try:
        return normal_key(key + extension)
    except ValueError as error:
        findings.problem(loc, f"not a valid object key: {error}")
        return ""
