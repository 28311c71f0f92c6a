"""Helpers that several test folders and the benchmarks share.

``people`` makes recordings of generated people, ``room`` lays out a job of them, ``plans`` makes plans without media,
``command`` installs and runs the command, and ``gpu`` tells which graphics card the tests may use. A helper that only
one folder needs stays in that folder. Of the tests, the benchmarks import nothing but this package.
"""
