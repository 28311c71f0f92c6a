"""The job file: ``reader.read_job`` turns a job.start request into a ``job.JobSpec``."""
