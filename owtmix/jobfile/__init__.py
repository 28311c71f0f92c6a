"""What a person writes: the job file, the index of the recordings, and the settings of the service.

Each is read strictly, checked, and completed with defaults; every mistake is reported with its place. It knows the
documents and nothing of media, stores or rendering. ``plan`` and everything above use what it returns.
"""
