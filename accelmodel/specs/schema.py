"""Specifications as frozen data: what a device, a link, a model, an instance … is, in numbers.

Every numeric field is an SI float or an ``xarray.DataArray`` that carries a labelled axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

import pydantic
from pydantic.dataclasses import dataclass

from accelmodel.errors import unknown
from accelmodel.specs.facts import Fact
from accelmodel.specs.quantities import (
    Area,
    ByteRate,
    Bytes,
    Count,
    CountOrNone,
    Dollars,
    FlopRate,
    FlopRateOrNone,
    Number,
    Quantity,
    Seconds,
    Share,
    Watts,
)

_CONFIG = pydantic.ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, config=_CONFIG)
class Residual:
    """How measured times of one kind of operator lie around the predicted ones.

    Nine tenths of them lie between ``lower`` and ``upper`` times the prediction [1]; from ``rows`` measurements.
    """

    kind: str
    bits: Annotated[Number, Quantity(gt=0.0, le=64.0)]
    lower: Annotated[Number, Quantity(gt=0.0, le=100.0)]
    upper: Annotated[Number, Quantity(gt=0.0, le=100.0)]
    rows: int


@dataclass(frozen=True, config=_CONFIG)
class Spec:
    """What every specification carries: its name, its facts by field, the digest of its file, and its residuals."""

    name: str
    residuals: tuple[Residual, ...] = field(default=(), repr=False, compare=False, kw_only=True)
    facts: Mapping[str, Fact] = field(default_factory=dict, repr=False, compare=False, kw_only=True)
    digest: str = field(default="", repr=False, compare=False, kw_only=True)


@dataclass(frozen=True, config=_CONFIG)
class Device(Spec):
    """One accelerator: rates, memories, silicon.  Units are SI; shares are of the peak, 0 to 1."""

    vendor: str
    architecture: str
    process: str
    link: str
    scale_out: str
    cores: Count
    clock: Annotated[Number, Quantity("1/s", gt=0.0, le=1e12)]
    peak_16bit: FlopRate
    vector_rate: FlopRate
    tile_m: Count
    tile_n: Count
    tile_k: Count
    multicast: Annotated[Number, Quantity(ge=1.0, le=1e3)]
    slice_clocks: Annotated[Number, Quantity(ge=0.0, le=1e6)]
    store_width: Annotated[Number, Quantity("B", gt=0.0, le=1e6)]
    split_time: Seconds
    fill_time: Seconds
    unhidden: Annotated[Number, Quantity(ge=0.0, le=1.0)]
    scaling_time: Seconds
    softmax_width: Annotated[Number, Quantity(gt=0.0, le=1e6)]
    attention_time: Seconds
    attention_tile_time: Seconds
    attention_draw: Share
    combine_time: Seconds
    attention_fill: Annotated[Number, Quantity(ge=0.0, le=100.0)]
    core_buffer: Bytes
    matrix_share: Share
    hbm_bandwidth: ByteRate
    hbm_share: Share
    hbm_capacity: Bytes
    hbm_stacks: CountOrNone
    l2_capacity: Bytes
    l2_bandwidth: ByteRate
    l2_usable: Share
    l2_ways: Count
    l2_copies: Count
    launch_time: Seconds
    die_area: Area
    dies: Count
    power: Watts
    peak_8bit_float: FlopRateOrNone = 0.0
    peak_8bit_int: FlopRateOrNone = 0.0
    peak_4bit: FlopRateOrNone = 0.0
    tile_least: Count = 16.0
    price: Dollars = 0.0


@dataclass(frozen=True, config=_CONFIG)
class Link(Spec):
    """What joins devices, inside a node or between nodes, and the software that drives it.

    Bandwidth is one way, per device, all links.  ``share`` is what a library's ring sustains of it;
    ``switch_share`` and ``direct_share`` are relative to that.  ``direct_start`` is the start-up of the
    engines' own one-shot and two-shot kernels, in ``start_up``; ``ramp`` and ``barrier`` are in hops.
    Left out, these leave the plain algorithms of ``laws.collectives``, without what software adds.
    """

    topology: str
    algorithms: list[str]
    bandwidth: ByteRate
    links: Count
    share: Share
    hop_latency: Seconds
    start_up: Seconds
    devices: Count
    direct_start: Annotated[Number, Quantity(gt=0.0, le=10.0)] = 1.0
    direct_share: Share = 1.0
    direct_limit: Bytes = 1e18
    barrier: Annotated[Number, Quantity(ge=0.0, le=1e3)] = 1.0
    switch_share: Share = 1.0
    crowding: Annotated[Number, Quantity(ge=1.0, le=10.0)] = 1.0
    ramp: Annotated[Number, Quantity(ge=0.0, le=1e3)] = 0.0
    own_copy: Annotated[Number, Quantity(ge=0.0, le=10.0)] = 0.0
    handshake: Seconds = 0.0

    def __post_init__(self) -> None:
        if self.topology not in TOPOLOGIES:
            raise unknown("topology", self.topology, TOPOLOGIES)
        if not self.algorithms:
            raise ValueError("algorithms is empty; name at least one")
        for name in self.algorithms:
            if name not in ALGORITHMS:
                raise unknown("collective algorithm", name, ALGORITHMS)


TOPOLOGIES = ("mesh", "switch", "ring", "torus", "bus")
ALGORITHMS = ("ring", "tree", "one-shot", "two-shot", "in-switch", "direct")


@dataclass(frozen=True, config=_CONFIG)
class Storage(Spec):
    """Where a KV cache is kept.  ``latency`` is of one request, ``tail`` follows the last; capacity 0 is unknown."""

    direction: str
    bandwidth: ByteRate
    latency: Seconds
    tail: Seconds
    capacity: Bytes = 0.0

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise unknown("direction", self.direction, DIRECTIONS)


DIRECTIONS = ("read", "write", "both")


@dataclass(frozen=True, config=_CONFIG)
class Process(Spec):
    """A silicon node: what a wafer costs, how it fails, how large things are on it."""

    wafer_price: Annotated[Number, Quantity("USD", gt=0.0, le=1e6)]
    wafer_diameter: Annotated[Number, Quantity("m", gt=0.0, le=1.0)]
    defect_density: Annotated[Number, Quantity("1/m2", ge=0.0, le=1e7)]
    defect_clustering: Annotated[Number, Quantity(gt=0.0, le=100.0)]
    sram_area: Annotated[Number, Quantity("m2/B", gt=0.0, le=1e-9)]
    reticle_area: Annotated[Number, Quantity("m2", gt=0.0, le=1.0)]


@dataclass(frozen=True, config=_CONFIG)
class Bill(Spec):
    """What a chip spends outside its cores and cache: PHY areas, prices and power of the parts."""

    hbm_stack_area: Area
    hbm_stack_capacity: Bytes
    hbm_stack_bandwidth: ByteRate
    hbm_price: Annotated[Number, Quantity("USD/B", ge=0.0, le=1.0)]
    hbm_stack_power: Watts
    link_area: Area
    link_price: Dollars
    link_power: Watts
    package_price: Dollars
    test_price: Dollars
    core_area: Area
    core_power: Watts
    uncore_area: Area
    uncore_power: Watts
    sram_power: Annotated[Number, Quantity("W/B", ge=0.0, le=1e-3)]
    electricity_price: Annotated[Number, Quantity("USD/J", ge=0.0, le=1e-3)]
    lifetime: Annotated[Number, Quantity("s", gt=0.0, le=1e10)]
    utilisation: Share


@dataclass(frozen=True, config=_CONFIG)
class LanguageModel(Spec):
    """Shape of a decoder-only transformer.  Zero means that the model has no such part.

    Multi-head latent attention is told by ``kv_lora_rank > 0``, mixture of experts by ``experts > 0``.
    ``window`` is the reach of sliding-window layers [token] and ``window_layers`` their number.
    """

    layers: Count
    hidden: Count
    vocabulary: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    ffn: CountOrNone
    gated: bool
    norm: str = "rms"
    norms_per_layer: Count = 2.0
    qk_norm: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    attention_sinks: bool = False
    tied_embeddings: bool = False
    learned_positions: CountOrNone = 0.0
    position_offset: CountOrNone = 0.0
    max_context: CountOrNone = 0.0
    experts: CountOrNone = 0.0
    experts_per_token: CountOrNone = 0.0
    expert_ffn: CountOrNone = 0.0
    shared_experts: CountOrNone = 0.0
    shared_expert_ffn: CountOrNone = 0.0
    dense_layers: CountOrNone = 0.0
    router_bias: bool = False
    expert_bias: bool = False
    window: CountOrNone = 0.0
    window_layers: CountOrNone = 0.0
    q_lora_rank: CountOrNone = 0.0
    kv_lora_rank: CountOrNone = 0.0
    qk_rope_dim: CountOrNone = 0.0
    qk_nope_dim: CountOrNone = 0.0
    v_head_dim: CountOrNone = 0.0
    published_parameters: Annotated[Number, Quantity(ge=0.0, le=1e15)] = 0.0

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads:g} must be a multiple of kv_heads {self.kv_heads:g}")
        for part, whole in (("window_layers", "layers"), ("dense_layers", "layers"), ("experts_per_token", "experts")):
            if getattr(self, part) > getattr(self, whole):
                raise ValueError(f"{part} {getattr(self, part):g} exceeds {whole} {getattr(self, whole):g}")
        for part, needs in (
            ("experts", ("experts_per_token", "expert_ffn")),
            ("kv_lora_rank", ("qk_rope_dim", "qk_nope_dim", "v_head_dim")),
            ("shared_experts", ("shared_expert_ffn",)),
        ):
            for name in needs:
                if getattr(self, part) and not getattr(self, name):
                    raise ValueError(f"{part} {getattr(self, part):g} needs {name}; give it")
        if self.norm not in ("rms", "layer"):
            raise unknown("norm", self.norm, ("rms", "layer"))


@dataclass(frozen=True, config=_CONFIG)
class Instance(Spec):
    """A rented server.  Bandwidths are one way; those to and from host memory are of one device."""

    cloud: str
    device: str
    devices: Count
    link: str
    host_memory: Bytes
    pcie: Count
    load_bandwidth: ByteRate
    store_bandwidth: ByteRate
    network: ByteRate
    disk: Bytes = 0.0
    disk_bandwidth: Annotated[Number, Quantity("B/s", ge=0.0, le=1e18)] = 0.0


@dataclass(frozen=True, config=_CONFIG)
class Engine(Spec):
    """A serving engine: what its host side costs, what it overlaps, and how it batches.

    ``host`` says whether the host's time adds to the device's (``serial``) or runs beside it (``beside``);
    ``loads`` says the same of KV cache that comes from host memory.  ``chunk`` is the number of tokens in a step
    that mixes prompts with decoding [token]; 0 is whole prompts in steps of their own.  ``patience`` is the number
    of decode steps after which waiting prompts interrupt decoding.  ``layer_time`` is paid in each step,
    ``sequence_time`` for each sequence that decodes, ``prompt_time`` once for each prompt.
    ``attention_factor`` is the time of decode attention relative to that of a kernel which reads the KV cache once.
    """

    host: str
    loads: str
    layer_time: Seconds
    sequence_time: Seconds
    memory_share: Share
    host_memory_share: Share
    chunk: CountOrNone
    most_sequences: Count
    patience: CountOrNone = 0.0
    prompt_time: Seconds = 0.0
    attention_factor: Annotated[Number, Quantity(ge=1.0, le=100.0)] = 1.0

    def __post_init__(self) -> None:
        for name in (self.host, self.loads):
            if name not in OVERLAPS:
                raise unknown("overlap", name, OVERLAPS)


OVERLAPS = ("serial", "beside")


@dataclass(frozen=True, config=_CONFIG)
class KernelLibrary(Spec):
    """Products at 8 or 4 bit by kernels of a framework, relative to the best library; and how it quantises for them.

    They take tiles by the rows alone: a quarter of the largest columns up to ``quarter_rows``, half of them up to
    twice that on Hopper and four times that elsewhere, else all; and do not split the depth.  The activations are
    quantised by a kernel of its own, which reads them ``passes`` times and takes ``row_time`` for each row beside.
    """

    framework: str
    bits: Annotated[Number, Quantity(ge=4.0, le=8.0)]
    matrix_factor: Annotated[Number, Quantity(gt=0.0, le=2.0)]
    slice_factor: Annotated[Number, Quantity(gt=0.0, le=20.0)]
    quarter_rows: Count
    passes: Annotated[Number, Quantity(gt=0.0, le=10.0)]
    row_time: Seconds


@dataclass(frozen=True, config=_CONFIG)
class Cluster:
    """Devices joined by a link inside a node, and by another between nodes."""

    device: Device
    link: Link
    scale_out: Link
    devices: Count


@dataclass(frozen=True, config=_CONFIG)
class Workload:
    """What is asked of a cluster in one step.

    Attributes
    ----------
    phase : {"prefill", "decode"}
    batch : float
        Sequences in the step, over all data-parallel ranks and pipeline stages [1].
    context : float
        Tokens each sequence has when the step ends [token].
    prefix : float
        Tokens of each prompt whose KV is already there (chunked prefill) [token].
    tp, pp, ep, dp : float
        Degrees of tensor, pipeline and expert parallelism and of data-parallel attention [1].
    weight_bits, activation_bits, kv_bits : float
        Precisions [bit].
    """

    phase: str
    batch: Count
    context: Count
    prefix: CountOrNone = 0.0
    tp: Count = 1.0
    pp: Count = 1.0
    ep: Count = 1.0
    dp: Count = 1.0
    weight_bits: Annotated[Number, Quantity("1", ge=1.0, le=64.0)] = 16.0
    activation_bits: Annotated[Number, Quantity("1", ge=4.0, le=64.0)] = 16.0
    kv_bits: Annotated[Number, Quantity("1", ge=1.0, le=64.0)] = 16.0

    def __post_init__(self) -> None:
        if self.phase not in ("prefill", "decode"):
            raise unknown("phase", self.phase, ("prefill", "decode"))
