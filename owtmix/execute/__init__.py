"""Work in child processes that may crash, hang or grow without harm to the job."""
