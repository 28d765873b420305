"""Prompts for the tests of KV-cache policies: one to change, and random ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from accelmodel.kvcache.prompt import Computing, Loading, Prompt
from accelmodel.testing.prompts import slack

__all__ = ["CURVE", "KV", "ROUNDING", "TAIL", "prompt_of", "prompts", "rates", "shares", "slack"]
#: relative rounding of sums in another order
ROUNDING = 1e-9
CURVE = np.linspace(0.04, 0.08, 32)
KV = 512 * 1024.0
TAIL = 0.1


def prompt_of(**changes) -> Prompt:
    """Return 16384 tokens, all stored, 4 GB/s, all of the engine, with some fields of any part replaced."""
    parts = {"computing": Computing(CURVE), "loading": Loading(KV, 4e9, 32.0, TAIL)}
    whole = {"tokens": 16384.0, "stored": 16384.0}
    for name, value in changes.items():
        for part, spec in parts.items():
            if name in spec.__dataclass_fields__:
                parts[part] = replace(spec, **{name: value})
        if name in whole:
            whole[name] = value
    return Prompt(**whole, **parts)


rates = st.floats(1e8, 1e11)
shares = st.floats(0.05, 1.0)
curves = st.lists(st.floats(0.01, 0.2), min_size=12, max_size=12).map(np.array)


@st.composite
def prompts(draw, rising=False):
    curve = draw(curves)
    curve = np.sort(curve) if rising else curve
    tokens = draw(st.integers(100, 12 * 512))
    computing = Computing(curve, utilisation=draw(shares))
    latency, io = draw(st.floats(0.0, 0.01)), draw(st.integers(16, 1024))
    kept = {
        "window_bytes": KV * draw(st.sampled_from([0.0, 0.5, 0.8, 1.0])),
        "window": float(draw(st.integers(1, 2048))),
        "chunked": draw(st.booleans()),
        "state_bytes": draw(st.sampled_from([0.0, 1e6, 1e8])),
        "copy_rate": draw(st.one_of(st.just(np.inf), st.floats(1e9, 1e12))),
        "slowdown": draw(st.one_of(st.just(1.0), st.floats(1.0, 2.0))),
    }
    load = Loading(KV, draw(rates), 32.0, draw(st.floats(0.0, 0.2)), latency, io, **kept)
    return Prompt(float(tokens), float(draw(st.integers(0, tokens))), computing, load)
