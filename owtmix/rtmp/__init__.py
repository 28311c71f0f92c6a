"""RTMP, as far as players and publishers share it: messages in chunks, commands, the greeting, what is answered.

It is written in Python alone and knows no connection: it says what to read next, and what to send.
"""
