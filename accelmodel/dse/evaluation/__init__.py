"""Chips of a study, each judged by its best use."""
