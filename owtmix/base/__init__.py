"""What every other package builds on: errors, exact time, geometry, ids, strict JSON, progress, cleanup, I/O threads.

It knows nothing of jobs, media or stores, and imports nothing of this project. Every package may use it.
"""
