"""Where a room's streams come from: each source is a file of its own."""
