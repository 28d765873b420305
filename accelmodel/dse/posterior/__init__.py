"""The optimum where constants are not known: one at a time, and all drawn at once."""
