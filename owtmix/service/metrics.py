"""What Prometheus is told of the service (docs/service.md, "Metrics")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from owtmix.service.jobs import State

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "owt_requests", "Requests by action and RetCode", ["action", "code"], registry=self._registry
        )
        self._seconds = Histogram(
            "owt_request_seconds", "Seconds until a request is answered", buckets=_SECONDS, registry=self._registry
        )
        self.restarts = Counter("owt_process_restarts", "Processes that were started again", registry=self._registry)
        self._jobs = Gauge("owt_jobs", "Jobs by state", ["state"], registry=self._registry)
        self._callbacks = Gauge("owt_callbacks", "Callbacks that are not delivered", ["state"], registry=self._registry)
        self._streams = Gauge("owt_streams", "Streams that are received", registry=self._registry)
        self._behind = Gauge(
            "owt_mix_behind_seconds", "Seconds by which a mix is behind live", ["job"], registry=self._registry
        )
        self._free = Gauge("owt_disk_free_bytes", "Free bytes on the disk of the recordings", registry=self._registry)
        self._draining = Gauge("owt_draining", "1 while the service ends", registry=self._registry)

    def answered(self, action: str, code: int, seconds: float) -> None:
        """Count a request; ``action`` is empty for what is none."""
        self._requests.labels(action or "none", str(code)).inc()
        self._seconds.observe(seconds)

    def text(
        self,
        jobs: Mapping[str, int],
        callbacks: Mapping[str, int],
        streams: int,
        behind_s: Mapping[str, float],
        free_bytes: int,
        *,
        draining: bool,
    ) -> bytes:
        """All metrics, with what is so now; ``behind_s`` has the mixes that are made, of which there are few."""
        for state in get_args(State):
            self._jobs.labels(state).set(jobs.get(state, 0))
        for state, number in callbacks.items():
            self._callbacks.labels(state).set(number)
        self._streams.set(streams)
        self._behind.clear()
        for job, seconds in behind_s.items():
            self._behind.labels(job).set(seconds)
        self._free.set(free_bytes)
        self._draining.set(draining)
        return generate_latest(self._registry)
