"""What a person types and sees: arguments, commands, progress bar, plans and probes as text, log, signals.

It turns every outcome into words and an exit status. It knows ``jobs`` and nothing of how a job is made.
"""
