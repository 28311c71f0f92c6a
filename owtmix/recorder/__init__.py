"""A live room becomes single-stream files and an index (docs/service.md).

``room`` is the process that receives: it writes the encoded frames of each track into a journal, and decodes nothing.
``finalise`` makes files of what journals hold. ``service`` starts both.
"""
