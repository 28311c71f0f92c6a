"""The REST service: actions of the API document, tokens, the database of jobs, and supervision of child processes.

No media library is loaded here: rooms are received by ``owtmix.recorder``, in processes of their own (docs/service.md).
"""
