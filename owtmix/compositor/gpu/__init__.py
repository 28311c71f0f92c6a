"""The canvas on a GPU: it composes the same pixels as ``compositor.cpu``, with one CUDA kernel.

``canvas`` and ``scaler`` implement the canvas. ``memory`` and ``upload`` move planes to the GPU, ``filter_taps``,
``kernel_tables`` and ``kernel_args`` compute what the kernel reads, ``compose.cu`` is the kernel, ``kernel_loading``
loads or compiles it, and ``kernel_cache`` keeps it on the disk. ``device`` has the protocol of a GPU, and only ``cuda``
imports CuPy. The package knows frames, layers and GPU memory; it does not know plans, recordings, decoders or encoders.
``compositor.factory`` opens it for ``render``, and ``produce.gpu_check`` tests it.
"""
