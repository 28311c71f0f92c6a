"""Where things are: stores, and the keys of the output and the index in them."""

from __future__ import annotations

import re
from typing import Final

from owtmix.base.strict_json import Loc
from owtmix.jobfile.object_key import normal_key
from owtmix.jobfile.problems import Findings
from owtmix.jobfile.spec import StorageSpec
from owtmix.jobfile.wire import Internal, StorageConfig

_VARIABLE = re.compile(r"\$(JobId|Jobid|RoomId|AppId)")
_MEDIA_EXTENSION = re.compile(r"\.(mp4|m4v|mov|m4a|webm|mkv|mka|avi|flv|ts)$", re.IGNORECASE)
_JOB_ID: Final[Loc] = ("Internal", "JobId")


def storage_spec(wire: StorageConfig, loc: Loc, findings: Findings) -> StorageSpec:
    """The store at ``loc``. Keys left out stay None: they may come from the environment."""
    vendor = (*loc, "Vendor")
    region, endpoint = (*loc, "Region"), (*loc, "Endpoint")
    if wire.vendor == "ucloud" and not wire.region and findings.sound(vendor, region):
        findings.unaccepted(region, 'the region, such as "cn-bj", which ucloud needs')
    if wire.vendor == "s3" and not wire.endpoint and findings.sound(vendor, endpoint):
        findings.unaccepted(endpoint, "the address of the service, which s3 needs")
    return StorageSpec(
        vendor=wire.vendor,
        bucket=wire.bucket,
        region=wire.region or None,
        endpoint=wire.endpoint or None,
        public_key=wire.public_key or None,
        secret_key=wire.secret_key or None,
    )


def output_key(prefix: str, container: str, loc: Loc, internal: Internal, findings: Findings) -> str:
    """The output's key: ``prefix``, or the job id where it names no file, with the extension of ``container``."""
    folder, slash, name = prefix.rpartition("/")
    name = _MEDIA_EXTENSION.sub("", name).strip()
    if name in {"", "."}:
        name = "$JobId"
    return _key(folder + slash + name, f".{container}", loc, internal, findings)


def index_key(name: str, loc: Loc, internal: Internal, findings: Findings) -> str | None:
    """The key of the index; None when the job does not name one."""
    return _key(name, "", loc, internal, findings) if name else None


def _key(text: str, extension: str, loc: Loc, internal: Internal, findings: Findings) -> str:
    """``text`` with its variables replaced and ``extension`` added, as a key; reported at ``loc`` when it is none."""
    values = {
        "JobId": internal.job_id,
        "Jobid": internal.job_id,
        "RoomId": internal.room_id,
        "AppId": internal.app_id,
    }
    if not findings.sound(_JOB_ID, loc):
        return ""
    for variable in _VARIABLE.findall(text):
        if not values[variable]:
            findings.problem(loc, f"${variable} is used, and Internal.{variable} is missing")
            return ""
    try:
        return normal_key(_VARIABLE.sub(lambda found: values[found[1]], text) + extension)
    except ValueError as error:
        findings.problem(loc, f"not the key of an object: {error}")
        return ""
