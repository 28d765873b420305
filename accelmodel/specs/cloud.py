"""What serves: rented instances, serving engines, and the kernel libraries that they call."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic.dataclasses import dataclass

from accelmodel.errors import SpecError, unknown
from accelmodel.laws.numeric import Number
from accelmodel.specs.base import CONFIG, Spec
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
class Engine(Spec):
    """A serving engine: what its host side costs, what it overlaps, and how it batches.

    ``host`` says whether the host's time adds to the device's (``serial``) or runs beside it (``overlapped``);
    ``loads`` says the same of KV cache that comes from host memory.  ``max_num_batched_tokens`` is the number of
    tokens in a step that mixes prompts with decoding [token]; 0 is whole prompts in steps of their own.  ``patience``
    is the number of decode steps after which waiting prompts interrupt decoding.  ``layer_time`` is paid in each step,
    ``sequence_time`` for each sequence that decodes, ``prompt_time`` once for each prompt.
    ``attention_factor`` is the time of decode attention relative to that of a kernel which reads the KV cache once.
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

    def __post_init__(self) -> None:
        for name in (self.host, self.loads):
            if name not in OVERLAPS:
                raise unknown("overlap", name, OVERLAPS)


OVERLAPS = ("serial", "overlapped")


@dataclass(frozen=True, config=CONFIG)
class KernelLibrary(Spec):
    """Matmuls by kernels of a framework: plain ones at 8 or 4 bit, or those of routed experts at any precision.

    Plain ones are relative to the best library's.  They take tiles by the rows alone: a quarter of the largest columns
    up to ``quarter_rows``, half of them up to twice that on Hopper and four times that elsewhere, else all; and do not
    split the depth.  The activations are quantised by a kernel of its own, which reads them ``passes`` times and takes
    ``row_time`` for each row beside.  Where ``matrix_factor`` is 0 there are none.

    Matmuls of experts take the place of those of the device: ``expert_start``, ``expert_tile_time`` and
    ``expert_share`` are as its ``matmul.expert_…``.  Where ``expert_share`` is 0 there are none.  Gathering and summing
    of copies take ``expert_passes`` times as long as their bytes alone.  Where ``gathers`` or ``activates`` is 0, they
    gather the copies of tokens, or apply the activation, as they multiply; where ``elsewhere`` is 1, activation and sum
    go over the copies of experts on other ranks too, as zeros.  ``experts`` names the library that the framework's
    experts run on beside its plain matmuls.

    ``kernel`` is how sources of measured experts end that are this library's, one or another; where several frameworks
    call it, ``framework`` names all of them.
    """

    framework: str
    bits: Annotated[Number, Quantity(ge=4.0, le=16.0)]
    matrix_factor: Annotated[Number, Quantity(ge=0.0, le=2.0)] = 0.0
    slice_factor: Annotated[Number, Quantity(ge=1e-3, le=20.0)] = 1.0
    quarter_rows: Count = 64.0
    passes: Annotated[Number, Quantity(ge=1e-3, le=10.0)] = 1.0
    row_time: Seconds = 0.0
    kernel: str = ""
    expert_start: Seconds = 0.0
    expert_tile_time: Seconds = 0.0
    expert_share: Annotated[Number, Quantity(ge=0.0, le=2.0)] = 0.0
    gathers: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 1.0
    activates: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 1.0
    elsewhere: Annotated[Number, Quantity(ge=0.0, le=1.0)] = 0.0
    expert_passes: Annotated[Number, Quantity(ge=0.01, le=10.0)] = 1.0
    experts: str = ""

    def __post_init__(self) -> None:
        if not self.matrix_factor and not self.expert_share:
            raise SpecError("has neither plain matmuls nor experts; give matrix_factor or expert_share above 0")

    def runs(self, source: str) -> bool:
        """Return whether the experts of a source of measurements ran on it."""
        of_ours = any(source.startswith(name) for name in self.framework.split(" and "))
        return of_ours and any(source.endswith(f", {name}") for name in self.kernel.split(" or "))
