"""The canvas on a GPU: memory, uploads, the tables of the kernel, and the kernel.

``device.py`` has the protocol of a GPU, ``cuda.py`` implements it with CuPy.
"""
