"""Callbacks: what is told about a mix, kept on disk until its receivers took it (sections 13 and 14)."""
