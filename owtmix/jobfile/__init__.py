"""Parsing and validation of the job file, the index of the recordings, and the settings of the service.

Each document is parsed strictly, validated, and completed with defaults; every error is reported with its location.
``plan`` and the packages above it use the results: ``JobSpec``, ``Index`` and ``Settings``.
"""
