"""What a model keeps of a sequence: bytes of each token, of the tokens in a window, and however long it is.

The one place that knows it.  What a device must hold (``inference.memory``), what lies in storage (``kvcache``) and
what goes to a host (``cloud``) are sums over these parts.
"""

from __future__ import annotations

from typing import NamedTuple

from accelmodel.inference.attention import index_bits
from accelmodel.inference.columns import STREAM, ceil_div
from accelmodel.inference.layers import kv_elements
from accelmodel.inference.state_mixers import STATE
from accelmodel.laws.numeric import Number, least, most
from accelmodel.specs.language_model import LanguageModel, mixers
from accelmodel.specs.layer_kinds import (
    Compressed,
    Convolution,
    Grouped,
    Latent,
    Linear,
    Mixer,
    Recurrent,
    StateSpace,
)


class Kept(NamedTuple):
    """What is kept of a sequence, by what it depends on."""

    token: Number = 0.0  #: of each token, however far back [B]
    near: Number = 0.0  #: beside that, of each token within reach [B]
    reach: Number = 0.0  #: how far back these lie [token]
    fixed: Number = 0.0  #: however long the sequence is [B]
    chunked: bool = False  #: within reach is what lies in the chunk of the last token

    def of(self, context: Number) -> Number:
        """Return the bytes of a sequence of so many tokens, a chunk taken to be full [B]."""
        return self.token * context + self.near * least(context, self.reach) + self.fixed


def kept_by(kind: Mixer, kv_bits: Number, tp: Number = 1.0) -> Kept:
    """Return what a layer keeps of a sequence on one of ``tp`` tensor ranks; the latent of MLA is whole on each."""
    index, width = _index_bytes(kind), kv_bits / 8.0
    if isinstance(kind, Latent):
        return Kept(token=kv_elements(kind) * width + index)
    if isinstance(kind, Compressed):
        far = kind.head_dim / kind.ratio if kind.ratio else 0.0
        return Kept(far * width + index, kind.head_dim * width, kind.window)
    if isinstance(kind, Grouped):
        share = ceil_div(kind.kv_heads, tp) / kind.kv_heads
        if kind.cross_tokens:
            elements = kind.kv_heads * (kind.head_dim + (kind.value_dim or kind.head_dim))
            return Kept(fixed=elements * share * width * kind.cross_tokens)
        each = kv_elements(kind) * share * width + index
        if kind.window:
            return Kept(near=each, reach=kind.window, chunked=kind.chunked)
        return Kept(token=each)
    state, taps = state_elements(kind)
    return Kept(fixed=ceil_div(state, tp) * STATE + ceil_div(taps, tp) * STREAM)


def kept(model: LanguageModel, kv_bits: Number = 16.0) -> Kept:
    """Return what all layers of a model keep of a sequence, on all devices together.

    Windows of several sizes count as one, the widest: sequences that fill it take the right bytes, only where in the
    window they lie is evened out.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> found = kept(load("model", "gpt-oss-120b"))
    >>> bool(found.token == found.near == 18 * 8 * 64 * 2 * 2), float(found.reach)
    (True, 128.0)
    """
    parts = [(kind.layers, kept_by(kind, kv_bits)) for kind in mixers(model)]
    reach: Number = 0.0
    for _, part in parts:
        reach = most(reach, part.reach)
    near = sum(layers * part.near * part.reach for layers, part in parts)
    return Kept(
        token=sum(layers * part.token for layers, part in parts),
        near=near / most(reach, 1.0),
        reach=reach,
        fixed=sum(layers * part.fixed for layers, part in parts),
        chunked=any(part.chunked for _, part in parts),
    )


def kept_bytes(model: LanguageModel, context: Number, kv_bits: Number, tp: Number = 1.0) -> Number:
    """Return bytes that one sequence of ``context`` tokens keeps on one of ``tp`` tensor ranks [B].

    Examples
    --------
    Half of its layers keep the last 128 tokens:

    >>> from accelmodel.specs.load import load
    >>> float(kept_bytes(load("model", "gpt-oss-120b"), 8192.0, 16.0)) / (18 * (8192 + 128) * 8 * 64 * 2 * 2)
    1.0
    """
    total: Number = 0.0
    for kind in mixers(model):
        total = total + kind.layers * kept_by(kind, kv_bits, tp).of(context)
    return total


def kv_bytes_per_token(model: LanguageModel, kv_bits: Number = 16.0) -> Number:
    """Return bytes of KV cache that one token takes over all layers [B].

    Of windowed layers too, as long as the token is inside; layers with a state keep none.

    Examples
    --------
    Llama-3-70B at 16 bit takes 320 KiB per token (Cake, arXiv 2410.03065, Table 1):

    >>> from accelmodel.specs.load import load
    >>> kv_bytes_per_token(load("model", "llama-3-70b")) / 1024
    320.0
    """
    return sum(kind.layers * (kv_elements(kind) * kv_bits / 8.0 + _index_bytes(kind)) for kind in mixers(model))


def _index_bytes(kind: Mixer) -> Number:
    """Return bytes that an indexer keeps of a token [B]."""
    if not isinstance(kind, Latent | Compressed | Grouped) or not kind.top_k:
        return 0.0
    if isinstance(kind, Latent) and kind.shared_index:
        return 0.0
    stand_for = kind.ratio if isinstance(kind, Compressed) else 1.0
    return kind.index_dim * index_bits(kind) / 8.0 / stand_for


def state_elements(kind: Mixer) -> tuple[Number, Number]:
    """Return numbers that a layer keeps of a sequence however long it is: of its state, and of its convolution [1]."""
    if isinstance(kind, Linear):
        channels = 2.0 * kind.key_heads * kind.key_dim + kind.value_heads * kind.value_dim
        return kind.value_heads * kind.key_dim * kind.value_dim, _taps(kind.convolution) * channels
    if isinstance(kind, StateSpace):
        channels = kind.inner + (0.0 if kind.step_rank else 2.0 * kind.groups * kind.state)
        return kind.inner * kind.state, _taps(kind.convolution) * channels
    if isinstance(kind, Recurrent):
        return kind.width, _taps(kind.convolution) * kind.width
    if isinstance(kind, Convolution):
        return 0.0, _taps(kind.convolution) * kind.width
    return 0.0, 0.0


def _taps(convolution: Number) -> Number:
    """Return the tokens before the newest one that a convolution sees [token]."""
    return most(convolution - 1.0, 0.0)


def state_bytes_per_sequence(model: LanguageModel, kv_bits: Number = 16.0) -> Number:
    """Return bytes that a sequence takes however long it is [B].

    States at 32 bit, convolutions at 16, and keys and values of a second sequence that layers attend to.

    Examples
    --------
    >>> from accelmodel.specs.load import load
    >>> state_bytes_per_sequence(load("model", "llama-3-70b"))
    0.0
    """
    return kept(model, kv_bits).fixed
