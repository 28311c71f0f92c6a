"""FFmpeg through PyAV: opens, probes and decodes recordings, encodes tracks.

Containers, codecs, timestamps and damage; of plans it uses only the data of ``plan``. FFmpeg's exceptions are mapped
here. ``render``, ``inputs`` and ``outputs`` use it in worker processes.
"""
