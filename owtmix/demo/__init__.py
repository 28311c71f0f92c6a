"""A room to try the tool with, and the job that composes it.

``python -m owtmix.demo [FOLDER]`` writes ``FOLDER/sample-room`` and ``FOLDER/cfg.json``; with
``--rooms`` it writes several jobs into ``FOLDER``, for ``owt-batch``.
"""
