"""All chips of a space, or a sample of them."""
