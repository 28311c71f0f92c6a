"""The canvas on a GPU: memory, uploads, the tables of the kernel, and the kernel itself.

Everything that a GPU must do is behind the protocol ``GpuDevice`` in ``device.py``; ``cuda.py`` alone imports CuPy.
"""
