"""The canvas: decoded frames, placeholders and watermarks become composed frames, on the CPU or on a GPU.

It knows pixels: scaling, colour, text, overlays and the CUDA kernel. It does not know files, decoders or encoders.
``render`` draws on it.
"""
