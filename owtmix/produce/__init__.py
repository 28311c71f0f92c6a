"""Makes the outputs of a plan: schedule, tasks, chunk cache, failure policy, GPU check, disk space.

It knows plans, tasks and executors, and decides what happens when something fails. It does not read job files,
speak to stores, or talk to people. ``jobs`` hands it a plan and its sources.
"""
