"""Draws one line of text in any script; pixels do not depend on the machine."""
