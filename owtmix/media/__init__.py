"""FFmpeg through PyAV: recordings are opened, probed and decoded, tracks are encoded.

It knows containers, codecs, time stamps and damage, and nothing of jobs or plans beyond the data of ``plan``.
FFmpeg's exceptions end here. ``render``, ``inputs`` and ``outputs`` use it, in child processes.
"""
