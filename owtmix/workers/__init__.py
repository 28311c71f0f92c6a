"""Tasks, and the child processes that do them, which may crash, hang or grow without harm to the job.

It knows how tasks are handed out, supervised and confined, and nothing of what they do; of the
settings it reads those that limit a worker. ``inputs`` and ``produce``
define tasks and hand them to an executor.
"""
