"""What serves: rented instances, serving engines, and the kernel libraries that they call."""

from __future__ import annotations

from dataclasses import field
from datetime import date
from typing import Annotated

from pydantic.dataclasses import dataclass

from accelmodel.errors import SpecError, unknown
from accelmodel.laws.numeric import Number
from accelmodel.specs.architecture import architecture_of
from accelmodel.specs.base import CONFIG, Spec
from accelmodel.specs.link import CALLERS, LAUNCHES
from accelmodel.specs.quantities import (
    ByteRate,
    ByteRateOrNone,
    Bytes,
    Count,
    CountOrNone,
    HourlyPriceOrNone,
    Quantity,
    Seconds,
    Share,
)


@dataclass(frozen=True, config=CONFIG)
class Instance(Spec):
    """A rented server.  Bandwidths are one way; those to and from host memory are of one device.

    ``price_per_hour`` [USD/s; written in USD/h], with the day ``price_date`` on which it held (YYYY-MM-DD) and
    optionally the region, comes before the shipped lists and behind a list of one's own; 0 where it is not stated.
    ``cpu`` is the processor that an engine's host runs on; empty where nobody says.
    """

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
    disk_bandwidth: ByteRateOrNone = 0.0
    price_per_hour: HourlyPriceOrNone = 0.0
    price_date: str = ""
    price_region: str = ""
    cpu: str = ""

    def __post_init__(self) -> None:
        if not self.price_per_hour and not self.price_date:
            return
        if not self.price_per_hour:
            raise SpecError("price_date is given without price_per_hour; give both")
        try:
            date.fromisoformat(self.price_date)
        except ValueError:
            raise SpecError(
                f"price_date {self.price_date!r} is no day; write when the price held as 2026-04-11"
            ) from None


@dataclass(frozen=True, config=CONFIG)
class Cpu(Spec):
    """A processor of hosts, as one thread of it runs: an engine's scheduler and launcher is one.

    ``clock`` is that of one busy core [Hz], ``per_clock`` the work of a clock relative to a Skylake server core [1].
    """

    clock: Annotated[Number, Quantity("1/s", ge=1e6, le=1e11)]
    per_clock: Annotated[Number, Quantity(ge=0.1, le=10.0)]

    @property
    def single_thread(self) -> Number:
        """Speed of one thread [Skylake clocks/s]; only ratios of it mean something."""
        return self.clock * self.per_clock


@dataclass(frozen=True, config=CONFIG)
class Engine(Spec):
    """A serving engine: what its host side costs, what it overlaps, and how it batches.

    ``host`` says whether the host's time adds to the device's (``serial``) or runs beside it (``overlapped``);
    ``loads`` says the same of KV cache that comes from host memory.  ``max_num_batched_tokens`` is the number of
    tokens in a step that mixes prompts with decoding [token]; 0 is whole prompts in steps of their own.  ``patience``
    is the number of decode steps after which waiting prompts interrupt decoding.  ``attention_factor`` is the time of
    decode attention relative to that of a kernel which reads the KV cache once.

    Its host works ``step_time`` in each step, ``sequence_time`` for each sequence that decodes and ``prompt_time`` once
    for each prompt, which comes to the queue ``entry_time`` after it arrives.  It launches the kernels of a layer in
    ``layer_time``, but for steps of up to ``graph_tokens`` tokens where it replays a ``graph``.  All of that on
    ``cpu``; another takes it as much faster as its thread.
    ``efficiency`` is the share of the kernels' speed that its steps reach: what lies between and around them.
    ``collectives`` says who exchanges small messages, the engine's own kernels or the vendor's library, ``launch``
    whether decode steps are graphs or launched one by one, and ``unfused`` which kernels run apart that a fused form
    exists of.  ``libraries`` are the kernel libraries that it calls: a matmul runs on the first that is made for it,
    and where none is on what engines usually call.

    ``widening_bytes`` is what passes over memory move for each value of weights or KV cache below 16 bit that is made
    one of 16 bit before it is used; where it is 0, kernels widen values as they read them.
    """

    host: str
    loads: str
    layer_time: Seconds
    sequence_time: Seconds
    gpu_memory_utilization: Share
    host_memory_share: Share
    max_num_batched_tokens: CountOrNone
    max_num_seqs: Count
    patience: CountOrNone = 0.0
    prompt_time: Seconds = 0.0
    attention_factor: Annotated[Number, Quantity(ge=1.0, le=100.0)] = 1.0
    step_time: Seconds = 0.0
    entry_time: Seconds = 0.0
    efficiency: Annotated[Number, Quantity(ge=0.05, le=1.0)] = 1.0
    graph_tokens: CountOrNone = 0.0
    collectives: str = "engine"
    launch: str = "graph"
    unfused: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    prompts: str = "mixed"
    cpu: str = ""
    widening_bytes: Annotated[Number, Quantity("B", ge=0.0, le=1000.0)] = 0.0

    def __post_init__(self) -> None:
        for what, names, allowed in (
            ("overlap", (self.host, self.loads), OVERLAPS),
            ("caller of collectives", (self.collectives,), CALLERS),
            ("launch", (self.launch,), LAUNCHES),
            ("kernel of its own", self.unfused, FUSED),
            ("place of prompts", (self.prompts,), PLACES),
        ):
            for name in names:
                if name not in allowed:
                    raise unknown(what, name, allowed)


OVERLAPS = ("serial", "overlapped")
#: what an engine may run as kernels of their own
FUSED = ("norm", "rotary", "activation", "softmax", "quantise")
#: whether prompts share steps with decoding
PLACES = ("mixed", "apart")


@dataclass(frozen=True, config=CONFIG)
class Software:
    """What runs on the devices of a cluster beside their maker's own kernels; by default nothing that is said.

    Attributes
    ----------
    unfused : tuple of str
        Kernels that run apart though a fused form exists, of ``FUSED``.
    libraries : tuple of str
        Names or paths of kernel libraries: a matmul runs on the first that is made for it.
    """

    unfused: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, config=CONFIG)
class KernelLibrary(Spec):
    """Matmuls by kernels of a framework: plain ones at 8 or 4 bit, or those of routed experts at any precision.

    Plain ones are relative to the best library's.  They take tiles by the rows alone: a quarter of the largest columns
    up to ``quarter_rows``, half of them up to twice that on Hopper and four times that elsewhere, else all; and do not
    split the depth.  The activations are quantised by a kernel of its own, which reads them ``passes`` times and takes
    ``row_time`` for each row beside.  On Hopper few rows are padded to ``min_rows`` where that is given: the operands
    are swapped.  Where ``matrix_factor`` is 0 there are none.

    Matmuls of experts take the place of those of the device: ``expert_start``, ``expert_tile_time`` and
    ``expert_share`` are as its ``matmul.expert_…``.  Where ``expert_share`` is 0 there are none.  Gathering and summing
    of copies take ``expert_passes`` times as long as their bytes alone.  Where ``gathers`` or ``activates`` is 0, they
    gather the copies of tokens, or apply the activation, as they multiply; where ``elsewhere`` is 1, activation and sum
    go over the copies of experts on other ranks too, as zeros.  ``experts`` names the library that the framework's
    experts run on beside its plain matmuls.

    ``kernel`` is how sources of measured experts end that are this library's, one or another; where several frameworks
    call it, ``framework`` names all of them.

    Where ``weights`` is above 0 the weights alone have so many bits, and ``bits`` is what they are widened to: nothing
    is quantised (``passes`` 0), each matmul takes ``start`` beside, and its depth is split at ``split_time`` where that
    is above 0.  From ``copied_rows`` rows on, where that is above 0, a kernel of its own writes the widened weights,
    and a matmul at ``bits`` reads them.

    An engine calls it on architectures of ``generations`` alone, where any are named, and where ``blocks`` is 1 for
    weights of 8 bit alone that have a scale for each block of 128 x 128.
    """

    framework: str
    bits: Annotated[Number, Quantity(ge=4.0, le=16.0)]
    matrix_factor: Annotated[Number, Quantity(ge=0.0, le=2.0)] = 0.0
    slice_factor: Annotated[Number, Quantity(ge=1e-3, le=20.0)] = 1.0
    quarter_rows: Count = 64.0
    passes: Annotated[Number, Quantity(ge=1e-3, le=10.0, or_zero=True)] = 1.0
    row_time: Seconds = 0.0
    min_rows: CountOrNone = 0.0
    weights: Annotated[Number, Quantity(ge=4.0, le=8.0, or_zero=True)] = 0.0
    start: Seconds = 0.0
    split_time: Seconds = 0.0
    copied_rows: CountOrNone = 0.0
    kernel: str = ""
    expert_start: Seconds = 0.0
    expert_tile_time: Seconds = 0.0
    expert_share: Annotated[Number, Quantity(ge=0.0, le=2.0)] = 0.0
    gathers: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 1.0
    activates: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 1.0
    elsewhere: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 0.0
    expert_passes: Annotated[Number, Quantity(ge=0.01, le=10.0)] = 1.0
    experts: str = ""
    generations: list[str] = field(default_factory=list)
    blocks: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 0.0

    def __post_init__(self) -> None:
        if not self.matrix_factor and not self.expert_share:
            raise SpecError("has neither plain matmuls nor experts; give matrix_factor or expert_share above 0")
        for word in self.generations:
            architecture_of(word)  # a mistyped one would match no chip

    def runs(self, source: str) -> bool:
        """Return whether the experts of a source of measurements ran on it."""
        of_ours = any(source.startswith(name) for name in self.framework.split(" and "))
        return of_ours and any(source.endswith(f", {name}") for name in self.kernel.split(" or "))
