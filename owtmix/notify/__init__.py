"""Callbacks (webhooks): the events of a job are stored in an outbox on disk, signed, and sent to its receivers.

Delivery is at least once and in order per URL. The events are those of the API document, sections 13 and 14.
``jobs`` calls the package when something happens in a run.
"""
