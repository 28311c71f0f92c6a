"""A plan becomes a file: schedule, tasks, chunk cache, failure policy, GPU check, disk space.

It knows plans, tasks and executors, and decides what happens when something fails. It does not know job files, stores
or people. ``jobs`` hands it a plan and its sources.
"""
