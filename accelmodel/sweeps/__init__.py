"""Grids over any axes of any question: what is asked, cut into chunks, kept chunk by chunk, and labelled."""
