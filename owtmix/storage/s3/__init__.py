"""Recordings and output in a bucket of an S3 service: UFile/US3, or any other that speaks the protocol.

``store`` has ``S3Store``, the ``Store`` that a job uses. Below it, ``client`` makes single requests through boto3 and
repeats them; ``objects`` reads, ``download`` fetches into files and ``upload`` sends files in parts. ``credentials``
finds the key, ``errors`` turns whatever boto3 raises into one sentence without secrets, and ``options`` holds the
settings.

The package knows the job's ``StorageSpec`` and the errors of owtmix; it knows nothing of recordings, plans or
composing. Only ``owtmix.storage`` imports it. ``options`` alone is imported by every job: this module and that one load
no S3 library.
"""
