"""Measurements of others, and our own, as frames."""
