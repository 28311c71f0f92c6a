"""The canvas: decoded frames, placeholders and watermarks become composed frames, on the CPU or on a GPU.

Scaling, colour conversion, text, overlays and the CUDA kernel; no files, decoders or encoders. ``render`` uses it.
"""
