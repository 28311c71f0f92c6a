"""Text as an overlay: one line in any script, drawn with the fonts of the package and of the settings.

``fonts`` loads fonts, ``coverage`` finds the fonts that a plan's texts need, ``shaping`` turns a text into glyphs in
visual order, and ``render`` draws them. The pixels do not depend on the machine. The package knows fonts and the texts
of a plan; it does not know layouts, canvases or time. ``compositor`` draws placeholders and watermarks
with it; ``jobs`` asks it which fonts a plan needs and which characters none of them has.
"""
