"""Hires the benches of a job on a cluster, and says what they are made from."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from owtmix.jobfile.spec import StorageSpec
from owtmix.jobs.options import MAX_WORKERS
from owtmix.jobs.steps import JobRun
from owtmix.produce.code_digest import code_digest
from owtmix.produce.tasks import RenderSetup
from owtmix.workers.base import Limits
from owtmix.workers.benches import Benches
from owtmix.workers.limits import worker_limits

_log = logging.getLogger(__name__)

TARGET: Final = "owtmix.jobs.bench:Bench"


@dataclass(frozen=True, slots=True)
class Kit:
    """What a bench is made from.

    Attributes:
        job: a name of the job, for folders; other jobs have others.
        limits: those of workers.
        store: where recordings are fetched; without keys: each node has its own.
        folder: of the job file.
        images: the decoded watermark images, by their source.
    """

    job: str
    limits: Limits
    store: StorageSpec
    folder: Path
    images: Mapping[str, bytes]

    def pack(self) -> bytes:
        """A line that says which build has packed it, and the rest, which only the same build unpacks."""
        return json.dumps(build()).encode() + b"\n" + pickle.dumps(self)

    @staticmethod
    def unpack(data: bytes) -> Kit | None:
        """The kit; None where another build has packed it."""
        line, _, rest = data.partition(b"\n")
        return pickle.loads(rest) if json.loads(line) == build() else None  # noqa: S301 - from the job's own machine


def build() -> dict[str, str]:
    """What must be the same where pieces of one output are made."""
    return {"owtmix": version("owtmix"), "code": code_digest("picture")}


def hire_benches(run: JobRun, setup: RenderSetup) -> Benches | None:
    """The benches of a job; None when no cluster helps it.

    Raises:
        OSError: the images cannot be read.
    """
    link, plan = run.cluster, setup.plan
    if link is None or plan.picture is None:
        return None
    if setup.device.gpu is not None:
        run.announcer.warn("the cluster does not help: benches compose on the CPU; see --device cpu")
        return None
    options, settings = run.request.options, run.request.settings
    cpus = int(sum(node.cpus for node in link.nodes.values()))
    count = min(options.benches or max(1, cpus), len(plan.picture.chunks), MAX_WORKERS)
    _log.info("%d benches on %d nodes of the cluster are asked to compose", count, len(link.nodes))
    spec = run.request.spec
    kit = Kit(
        run.work.name,
        worker_limits(settings),
        replace(spec.input, public_key=None, secret_key=None),
        run.request.job_file.parent.absolute(),
        {source: image.rgba.read_bytes() for source, image in setup.images.items()},
    )
    return Benches(
        link, count, TARGET, kit.pack(), settings.limits.worker_silence_s, _is_good, run.announcer.warn,
        run.announcer.warn_damaged,
    )  # fmt: skip


def _is_good(value: Any) -> bool:
    """Whether nothing was wrong with a chunk's recordings: what is wrong with them is found out here."""
    return not value.failures and not value.gpu_failure
