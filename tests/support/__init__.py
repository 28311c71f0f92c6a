"""Helpers that several test folders and the benchmarks share.

``people`` generates recordings, ``room`` writes a job with them, ``plans`` makes plans without media, ``command``
installs and runs the command, and ``gpu`` detects the GPU for tests. Helpers of a single folder stay in that folder.
The benchmarks import no other package of the tests.
"""
