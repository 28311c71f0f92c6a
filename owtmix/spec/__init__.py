"""The job file: ``read_job`` turns a job.start request into a ``JobSpec``."""

from owtmix.spec.reader import read_job

__all__ = ["read_job"]
