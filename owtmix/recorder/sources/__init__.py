"""Where a room's streams come from, each a file of its own (docs/service.md, "Where streams come from")."""
