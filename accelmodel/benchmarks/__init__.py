"""Twins of the step kernel, written independently in NumPy and in C, and other tools to compare its speed with."""
