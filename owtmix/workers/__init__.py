"""Tasks, and who does them: child processes that may crash, hang or grow without harm to the job.

It knows how tasks are handed out, supervised and confined, and nothing of what they do. ``inputs`` and ``produce``
define tasks and hand them to an executor.
"""
