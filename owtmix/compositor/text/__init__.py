"""One line of text in any script, as pixels that are the same on every machine."""
