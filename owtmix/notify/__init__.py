"""Callbacks: events of a job are signed, kept on disk until they are acknowledged, and sent.

It knows the events of sections 13 and 14 of the API document, HTTP and the outbox. It does not know how a job is
made. ``jobs`` tells it what happened.
"""
