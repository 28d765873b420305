"""Design-space exploration: enumerate, search, explain."""
