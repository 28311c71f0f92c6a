"""Recordings and output in a bucket of an S3 service: UFile/US3, or any other that speaks the protocol.

``store`` has ``S3Store``, the store that a job uses. ``client`` makes requests through boto3 and retries them,
``objects`` reads objects, ``download`` downloads them to files, and ``upload`` uploads files in parts. ``session``
opens boto3 sessions, ``credentials`` finds the access key, ``errors`` translates the exceptions of boto3 into messages
without secrets, and ``options`` has the connection settings.

The package knows the job's ``StorageSpec`` and the errors of owtmix. It knows nothing of recordings, plans or
composing. Only ``owtmix.storage`` imports it. This module and ``options`` do not import boto3, since jobs with local
files import them too.
"""
