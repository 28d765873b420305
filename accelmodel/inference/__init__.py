"""What a model asks of a cluster: operators, memory, step and request times."""
