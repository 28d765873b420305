"""Compiled loops over laws: steps, continuous batching, two fronts."""
