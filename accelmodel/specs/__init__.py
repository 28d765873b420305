"""What is known, with the source of every value."""
