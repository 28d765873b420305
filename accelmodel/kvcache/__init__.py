"""Time to first token of a prompt whose KV cache is stored (arXiv 2410.03065)."""
