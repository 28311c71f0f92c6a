"""Frames and sound of a range of a plan: rendering is a function of (plan, range).

Any range, rendered alone and anywhere, has the same pixels as in the whole run. It knows plans, canvases and
decoders; it does not know where recordings come from or where tracks go. The tasks of ``produce`` call it, in child
processes.
"""
