"""Continuous batching on one server."""
