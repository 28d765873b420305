"""How many parameters a tower has: what its class is built of, and what joins it to the language model's stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from accelmodel.specs.huggingface.tower_keys import Table, depth, inner, kind, merged_side, number, size


class Body(NamedTuple):
    """What a class of towers is built of that its table does not say.

    ``norm`` numbers a norm has for each of its width: weights, and biases of LayerNorm; ``norms`` a layer has.
    ``attention_bias`` and ``mlp_bias`` hold where the table has no key of its own.  ``learned`` positions have a table,
    ``classed`` ones a row more for a token of the whole image.  ``pooled`` towers end in a head of one layer unless
    their table says they do not.  ``inner`` is the key of the width of its perceptrons where that is another than the
    usual one; ``squares`` are a layer's parameters in squares of its width where no key tells them.
    """

    gated: bool = False
    norm: float = 2.0
    norms: float = 2.0
    attention_bias: bool = True
    mlp_bias: bool = True
    learned: bool = True
    classed: bool = False
    pooled: bool = False
    inner: str = ""
    squares: float = 0.0


_PLAIN = Body()
_RMS_GATED = Body(gated=True, norm=1.0, attention_bias=False, mlp_bias=False)
#: beginning of a tower's ``model_type`` → its class, the longest that fits
BODIES = {
    "siglip": Body(pooled=True),
    "clip": Body(classed=True),
    "intern_vit": Body(classed=True),
    "internvl": Body(classed=True, attention_bias=False),
    "llama4": Body(classed=True),
    "mllama": Body(classed=True, attention_bias=False),
    "pixtral": _RMS_GATED._replace(learned=False),
    "aimv2": _RMS_GATED,
    "dots_ocr": _RMS_GATED._replace(learned=False),
    "qwen2_vl": Body(learned=False),
    "qwen2_5_vl": Body(gated=True, norm=1.0, learned=False),
    "qwen2_5_omni_vision": Body(gated=True, norm=1.0, learned=False),
    "glm4v": _RMS_GATED._replace(inner="out_hidden_size"),
    "voxtral_realtime": Body(gated=True, norm=1.0, mlp_bias=False),
    "glm_ocr": Body(gated=True, norm=1.0, learned=False),
    "gemma4_vision": _RMS_GATED._replace(norms=4.0),
    # two perceptrons of four widths, attention with positions relative to each other, a gated convolution
    "gemma3n_audio": Body(squares=24.0),
    "gemma4_audio": Body(squares=24.0),
}
#: beginnings of the ``model_type`` of towers that are plain transformers with biases
_PLAIN_BODIES = (
    "idefics", "smolvlm", "qwen3_vl", "qwen3_omni", "qwen3_5", "kimi", "moonvit", "janus", "voxtral_encoder",
    "qwen2_audio", "got_ocr2",
)  # fmt: skip
#: convolutional networks, whose name alone tells their size → parameters [1]
_BY_NAME = {"mobilenetv5_300m_enc": 294.13e6}


def body(table: Table) -> Body:
    """Return what a tower is built of; of a class that is not known, a plain transformer with biases."""
    known = max((name for name in BODIES if kind(table).startswith(name)), key=len, default="")
    return BODIES.get(known, _PLAIN)


def known(table: Table, around: Table) -> bool:
    """Whether the classes of a tower and of what joins it to the stream are known, not guessed from its sizes."""
    whole = (kind(around), kind(table))
    return any(kind(table).startswith(name) for name in (*BODIES, *_PLAIN_BODIES)) and any(
        name.startswith(one) for name in whole for one in JOINTS
    )


def perceptron_width(table: Table) -> int:
    """Return the width of the perceptrons of the tower's layers, 0 where it is not told [1]."""
    return number(table, body(table).inner) if body(table).inner else inner(table)


def tower_parameters(table: Table, outer: int, around: Table | None = None) -> float:
    """Return the parameters of a tower and of what joins it to a stream of ``outer`` numbers [1].

    0 where its shape is not told.  ``around`` is the object of the file that holds the tower.
    """
    around = around or {}
    name = table.get("architecture")
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name] + float(number(table, "hidden_size") * outer)
    hidden, layers, width = size(table, "hidden"), depth(table), perceptron_width(table)
    if kind(table) in ("qwen2_vl", "qwen2_vl_vision"):
        outer = number(table, "hidden_size", default=outer)
    made = body(table)
    if not (hidden and layers and (width or made.squares)):
        return 0.0
    total = layers * (made.squares * hidden**2 if made.squares else _layer(table, made))
    if made.pooled and table.get("vision_use_head", not kind(around).startswith("minicpm")) is True:
        total += _layer(table, made)
    return float(total + _entry(table, made) + _joint(table, around, float(outer)))


def _layer(table: Table, made: Body) -> float:
    """Attention with its biases, perceptrons with theirs, norms."""
    hidden, width = float(size(table, "hidden")), float(perceptron_width(table))
    heads = float(number(table, "qkv_hidden_size") or number(table, "head_dim") * size(table, "heads")) or hidden
    branches = 3.0 if made.gated else 2.0
    attention = 4.0 * hidden * heads
    if table.get("attention_bias", table.get("qkv_bias", made.attention_bias)) is not False:
        attention += 3.0 * heads + hidden
    perceptron = branches * hidden * width
    if made.mlp_bias:
        perceptron += (branches - 1.0) * width + hidden
    return attention + perceptron + made.norms * made.norm * hidden


def _entry(table: Table, made: Body) -> float:
    """Embedding of patches or of frames of sound, and positions."""
    hidden = float(size(table, "hidden"))
    mels = float(number(table, "num_mel_bins"))
    if mels:
        # two convolutions over three frames each (Whisper, arXiv 2212.04356)
        return 3.0 * hidden * (mels + hidden) + number(table, "max_source_positions") * hidden
    patch = number(table, "patch_size", "spatial_patch_size")
    channels = number(table, "num_channels", "in_channels", "in_chans", default=3)
    pixels = float(channels * patch * patch * number(table, "temporal_patch_size", default=1))
    return (pixels + 1.0 + (_positions(table, patch) + made.classed if made.learned else 0.0)) * hidden


def _positions(table: Table, patch: int) -> float:
    """Return the rows of the table of positions."""
    rows = number(table, "num_position_embeddings", "num_patches") or 2 * number(table, "position_embedding_size")
    high, wide = (number(table, f"pos_emb_{name}", f"init_pos_emb_{name}") for name in ("height", "width"))
    image = number(table, "image_size")
    tiles = number(table, "max_num_tiles")
    rows_of_image = float(rows or high * wide or ((image // patch) ** 2 if patch and image else 0))
    # Llama 3.2: one table for each of nine ways to tile an image, beside that of a tile
    return rows_of_image * (1.0 + 9.0 * tiles)


class _Ends(NamedTuple):
    """What a joint lies between: the tower's table, the object around it, ``hidden`` of a patch, ``outer`` numbers."""

    table: Table
    around: Table
    hidden: float
    outer: float

    @property
    def merged(self) -> float:
        """Numbers of the patches that become one token."""
        return self.hidden * merged_side(self.table, self.around) ** 2


def _two(inside: float, middle: float, outside: float) -> float:
    """Two matrices with their biases."""
    return inside * middle + middle + middle * outside + outside


def _merger(at: _Ends) -> float:
    """Qwen, Kimi: patches that lie side by side through two matrices, once more for each layer that sends them."""
    taps = at.table.get("deepstack_visual_indexes")
    own = float(number(at.table, "out_hidden_size", default=int(at.outer)))
    return _two(at.merged, at.merged, own) * (1.0 + (len(taps) if isinstance(taps, list) else 0.0))


def _llava(at: _Ends) -> float:
    return _two(at.hidden, at.outer, at.outer)


def _five_layers(at: _Ends) -> float:
    return _two(5.0 * at.hidden, at.outer, at.outer)


def _linear(at: _Ends) -> float:
    return at.hidden * at.outer


def _shuffled(at: _Ends) -> float:
    """One matrix on patches that lie side by side."""
    return at.merged * at.outer


def _shuffled_twice(at: _Ends) -> float:
    return 2.0 * at.merged + _two(at.merged, float(number(at.around, "projector_hidden_size")) or at.outer, at.outer)


def _mistral(at: _Ends) -> float:
    """Patches that lie side by side become one of the same width, then two matrices."""
    return at.merged * at.hidden + _two(at.hidden, at.outer, at.outer)


def _aligned(at: _Ends) -> float:
    """Aya and Command A Vision: a gated perceptron on patches that lie side by side."""
    width = float(number(at.around, "alignment_intermediate_size", default=int(at.outer)))
    return at.merged * width + width + width / 2.0 * at.outer + at.outer


def _glm(at: _Ends) -> float:
    """GLM: a convolution of patches that lie side by side, a matrix, a gated perceptron."""
    own = float(number(at.table, "out_hidden_size", default=int(at.outer)))
    width = 3.0 * own if kind(at.table).startswith("glm_ocr") else float(inner(at.table))
    return at.merged * own + own * own + 3.0 * own * width


def _llama4(at: _Ends) -> float:
    inside = float(number(at.table, "projector_input_dim", default=4096))
    out = float(number(at.table, "projector_output_dim", default=int(inside)))
    return at.merged * inside + inside * out + float(number(at.table, "vision_output_dim", default=int(out))) * at.outer


def _mllama(at: _Ends) -> float:
    return float(number(at.table, "vision_output_dim", default=7680)) * at.outer


def _object(around: Table, name: str) -> Table:
    """Return an object of the file, an empty one where there is none."""
    found = around.get(name)
    return found if isinstance(found, dict) else {}


def _perceiver(at: _Ends) -> float:
    """Idefics2: a gated perceptron as wide as the language model's, then layers whose queries are learned."""
    table, inside = (_object(at.around, name) for name in ("perceiver_config", "text_config"))
    size_of_head = number(table, "resampler_head_dim", default=96)
    queries = float(number(table, "resampler_n_heads", default=16) * size_of_head)
    keys = float(number(table, "num_key_value_heads", default=4) * size_of_head)
    width = float(number(inside, "intermediate_size", default=14336))
    layer = 2.0 * at.outer * (queries + keys) + 12.0 * at.outer**2
    return (2.0 * at.hidden + at.outer) * width + number(table, "resampler_depth", default=3) * layer


def _visual_words(at: _Ends) -> float:
    """Ovis: a head that says which visual words a patch is, and their table."""
    words = float(number(at.around, "visual_vocab_size") or number(at.table, "vocab_size", default=65536))
    side = float(number(at.table, "hidden_stride", default=2))
    return at.hidden * side**2 * words + words * at.outer


def _resampler(at: _Ends) -> float:
    """MiniCPM-V: learned queries that attend to the patches."""
    queries = float(number(at.around, "query_num", default=64))
    return at.hidden * at.outer + 5.0 * at.outer**2 + queries * at.outer


def _window_merger(at: _Ends) -> float:
    """MiniCPM-V 4.6: attention in windows of four patches that become one, inside the tower, and as Kimi behind it."""
    inside = 4.0 * at.hidden
    return at.hidden * inside + _two(inside, 4.0 * inside, at.hidden) + _merger(at)


def _guessed(at: _Ends) -> float:
    """Most that is not known here: patches that lie side by side through two matrices."""
    return _two(at.merged, at.outer, at.outer)


def _janus(at: _Ends) -> float:
    out = float(number(at.table, "projection_dim", default=int(at.outer)))
    return at.hidden * out + max(number(at.table, "depth", default=2) - 1.0, 0.0) * out**2


def _got(at: _Ends) -> float:
    """A neck of 256 channels, two convolutions that double them and halve the edge, a matrix."""
    neck = 256.0
    return (
        at.hidden * neck + 9.0 * neck**2 + 9.0 * neck * 2.0 * neck + 9.0 * 2.0 * neck * 4.0 * neck + 1024.0 * at.outer
    )


def _voxtral(at: _Ends) -> float:
    return _two(float(inner(at.table)), at.outer, at.outer)


def _qwen3_sound(at: _Ends) -> float:
    """Three convolutions of 480 channels in place of Whisper's, and two matrices."""
    channels = 480.0
    out = float(number(at.table, "output_dim", default=int(at.outer)))
    return 2.0 * 9.0 * channels**2 + 16.0 * channels * at.hidden + _two(at.hidden, at.hidden, out)


def _out(at: _Ends) -> float:
    """One matrix to what the tower's table calls its outcome, and one on to the stream where that is another."""
    out = float(number(at.table, "output_dim", "output_proj_dims", default=int(at.outer)))
    return at.hidden * out + (out * at.outer if "output_proj_dims" in at.table else 0.0)


#: beginning of the whole model's ``model_type``, or of the tower's → what joins them, the longest that fits
JOINTS: dict[str, Callable[[_Ends], float]] = {
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen3_vl", "qwen3_omni", "qwen3_5"), _merger),
    **dict.fromkeys(("kimi", "moonvit", "mimo_vl", "dots_ocr", "paddleocr_vl", "exaone4_5", "hy_v4"), _merger),
    "llava": _llava,
    "vipllava": _five_layers,
    "paligemma": _linear,
    "gemma3": _linear,
    "gemma4": _linear,
    "shieldgemma2": _linear,
    "idefics3": _shuffled,
    "smolvlm": _shuffled,
    "internvl": _shuffled_twice,
    "lfm2_vl": _shuffled_twice,
    "mistral3": _mistral,
    "aya_vision": _aligned,
    "cohere2_vision": _aligned,
    "glm4v": _glm,
    "glm46v": _glm,
    "glm_ocr": _glm,
    "llama4": _llama4,
    "mllama": _mllama,
    "idefics2": _perceiver,
    "ovis2": _visual_words,
    "minicpmv": _resampler,
    "minicpmo": _resampler,
    **dict.fromkeys(("minicpmv4", "minicpm_ocr"), _window_merger),
    "janus": _janus,
    "deepseek_vl": _llava,
    "got_ocr2": _got,
    "voxtral": _voxtral,
    "qwen2_audio": _linear,
    "qwen2_5_omni_audio": _out,
    "qwen3_omni_moe_audio": _qwen3_sound,
    "qwen3_asr": _qwen3_sound,
    "gemma4_audio": _out,
}


def _joint(table: Table, around: Table, outer: float) -> float:
    """Return the parameters of what joins a tower to the stream of the language model."""
    for whole in (kind(table) if "audio" in kind(table) else "", kind(around), kind(table)):
        known = max((name for name in JOINTS if whole.startswith(name)), key=len, default="")
        if known:
            return JOINTS[known](_Ends(table, around, float(size(table, "hidden")), outer))
    return _guessed(_Ends(table, around, float(size(table, "hidden")), outer))
