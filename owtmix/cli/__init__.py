"""The command line: arguments, commands, progress bar, plan and probe as text, run log, signals.

The package turns every result and error into messages and an exit status. It runs jobs with ``jobs``.
"""
