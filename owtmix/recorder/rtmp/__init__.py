"""RTMP as a player speaks it, and what FLV has for pictures and sound.

It is written in Python alone, without FFmpeg: what strangers send to a server of RTMP is only decoded when a file is
made, by a confined worker.
"""
