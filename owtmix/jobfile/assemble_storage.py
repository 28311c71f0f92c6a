"""The stores of a job, and the keys of the output and the index in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from owtmix.base.strict_json import Loc
from owtmix.jobfile.models import Internal, StorageConfig
from owtmix.jobfile.object_key import output_pattern, substituted_key
from owtmix.jobfile.problems import ProblemCollector
from owtmix.jobfile.spec import StorageSpec

_JOB_ID: Final[Loc] = ("Internal", "JobId")


def storage_spec(model: StorageConfig, loc: Loc, collector: ProblemCollector) -> StorageSpec:
    """The store at ``loc``. Access keys that are not given are None: they may come from the environment."""
    vendor = (*loc, "Vendor")
    region, endpoint = (*loc, "Region"), (*loc, "Endpoint")
    if model.vendor == "ucloud" and not model.region and not collector.is_given(vendor):
        collector.problem(vendor, 'missing, which means "ucloud"; write "local" for a folder, "s3" for another store')
    if model.vendor == "ucloud" and not model.region and collector.is_clean(vendor, region):
        collector.wrong_value(region, 'the region, such as "cn-bj", which ucloud needs')
    if model.vendor == "s3" and not model.endpoint and collector.is_clean(vendor, endpoint):
        collector.wrong_value(endpoint, "the address of the service, which s3 needs")
    return StorageSpec(
        vendor=model.vendor,
        bucket=model.bucket,
        region=model.region or None,
        endpoint=model.endpoint or None,
        public_key=model.public_key or None,
        secret_key=model.secret_key or None,
    )


def output_key(
    prefix: str, extensions: Sequence[str], loc: Loc, internal: Internal, collector: ProblemCollector
) -> str:
    """The key of the output: ``prefix`` with one of ``extensions``; the file name defaults to the job id."""
    pattern, unfit = output_pattern(prefix, extensions)
    if unfit and collector.is_clean(loc):
        collector.warn(loc, f".{unfit} does not fit the file type, and becomes .{extensions[0]}")
    return _key(pattern, loc, internal, collector)


def index_key(name: str, loc: Loc, internal: Internal, collector: ProblemCollector) -> str | None:
    """The key of the index; None when the job does not set one."""
    return _key(name, loc, internal, collector) if name else None


def _key(text: str, loc: Loc, internal: Internal, collector: ProblemCollector) -> str:
    """The key that ``text`` stands for. Problems are reported at ``loc``."""
    if not collector.is_clean(_JOB_ID, loc):
        return ""
    try:
        return substituted_key(text, job_id=internal.job_id, room_id=internal.room_id, app_id=internal.app_id)
    except ValueError as error:
        collector.problem(loc, str(error))
        return ""
