"""Policies and bandwidths in words."""

from __future__ import annotations

#: policy → heading
HEADINGS = {
    "compute_only": "compute", "load_only": "load", "cake": "Cake", "fixed_split": "half", "planned_split": "planned",
    "oracle": "oracle", "layerwise": "layer-wise", "token_layer": "token x layer",
}  # fmt: skip


def bandwidth_words(value: float) -> str:
    """Return a bandwidth in bit/s, binary where that is the rounder number.

    Examples
    --------
    >>> bandwidth_words(4 * 2**30), bandwidth_words(4e9)
    ('32 Gibps', '32 Gbps')
    """
    binary, decimal = f"{value * 8 / 2**30:.4g}", f"{value * 8 / 1e9:.4g}"
    return f"{binary} Gibps" if len(binary) <= len(decimal) and len(binary) < 5 else f"{decimal} Gbps"
