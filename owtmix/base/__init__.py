"""Shared basics: errors, exact time, geometry, ids, strict JSON, progress, backoff, cleanup, I/O threads.

The package imports nothing else of this project. Every package may use it.
"""
