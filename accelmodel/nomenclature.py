"""What names of answers mean, and the last look at an answer: every number finite, every variable described."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple, TypeVar

import numpy as np

from accelmodel.errors import Infeasible

#: an ``xarray.Dataset``, which this module does not import
Labelled = TypeVar("Labelled", bound=Any)


class Term(NamedTuple):
    """One row of the nomenclature: SI unit and meaning of a name used across the package."""

    unit: str
    meaning: str


#: name of a variable or a coordinate of an answer → its SI unit and meaning; datasets take theirs from here
NOMENCLATURE: dict[str, Term] = {
    # one step, operator by operator
    "time": Term("s", "duration of an operator over all its invocations in a step, or of a request"),
    "lower": Term("s", "end below which one twentieth of measured times lie"),
    "upper": Term("s", "end above which one twentieth of measured times lie"),
    "bound": Term("1", "what sets the operator's time: compute, hbm, l2, link or latency"),
    "algorithm": Term("1", "algorithm of a collective; none for what is not one"),
    "count": Term("1", "invocations of an operator in a step"),
    "flops": Term("FLOP", "useful floating-point or integer operations, a multiply-add counts two"),
    "hbm_bytes": Term("B", "bytes moved between device memory and L2"),
    "l2_hit_bytes": Term("B", "operand bytes found in L2 because they were prefetched"),
    "l2_resident_bytes": Term("B", "bytes that were prefetched and wait in L2 when an invocation ends"),
    "link_bytes": Term("B", "bytes that one device sends over its links"),
    "admitted_bytes": Term("B", "bytes that a technique admits to its prefetch lane"),
    "fetched_bytes": Term("B", "bytes that the prefetch lane fetches beside an operator"),
    "prefetched_bytes": Term("B", "bytes pulled from HBM into L2 ahead of their operator"),
    "step_time": Term("s", "duration of a whole step, or of all steps of a request"),
    "step_time_lower": Term("s", "end of the step's interval below which one twentieth of measured times lie"),
    "step_time_upper": Term("s", "end of the step's interval above which one twentieth of measured times lie"),
    "energy": Term("J", "energy that a device takes for an operator over all its invocations in a step"),
    "step_energy": Term("J", "energy that a device takes for a whole step"),
    "step_energy_lower": Term("J", "energy of a step with all its constants at the lower ends of their ranges"),
    "step_energy_upper": Term("J", "energy of a step with all its constants at the upper ends of their ranges"),
    "power_stretch": Term("1", "time of a step under the device's power limit over that at full clock"),
    "joules_per_token": Term("J/token", "energy of all devices that a step uses, for each token that it yields"),
    "attention_time": Term("s", "time of all micro-batches where attention is"),
    "experts_time": Term("s", "time of all micro-batches where the experts are"),
    "dispatch_time": Term("s", "time of all micro-batches on the way to the experts"),
    "combine_time": Term("s", "time of all micro-batches on the way back from the experts"),
    "tokens_per_s": Term("token/s", "output tokens (decode, serving) or input tokens (prefill) per second"),
    "prefill_tokens_per_s": Term("token/s", "tokens of prompts per second beside the output tokens of a mixed step"),
    "tokens_per_step": Term("token", "tokens that a step with speculative decoding is expected to yield a sequence"),
    "ttft": Term("s", "time to first token"),
    "tpot": Term("s", "time per output token"),
    "ttft_lower": Term("s", "end of the time to first token below which one twentieth lie, its engine in doubt too"),
    "ttft_upper": Term("s", "end of the time to first token above which one twentieth lie, its engine in doubt too"),
    "tpot_lower": Term("s", "end of the time of a token below which one twentieth lie, its engine in doubt too"),
    "tpot_upper": Term("s", "end of the time of a token above which one twentieth lie, its engine in doubt too"),
    "memory_bytes": Term("B", "weights, KV cache and activations that one device holds"),
    "feasible": Term("1", "whether it fits the memory, and a chip its constraints"),
    "busbw": Term("B/s", "bus bandwidth of a collective: bytes that each device must send, over its time"),
    "ridge_point": Term("FLOP/B", "arithmetic intensity at which compute and memory time are equal"),
    # techniques compared
    "baseline": Term("s", "time with nothing beside the operators"),
    "fused": Term("s", "time with matmuls overlapped with the all-reduce that they end in"),
    "preserve": Term("s", "time with weights and KV cache prefetched into L2 during collectives"),
    "speedup": Term("1", "time of the baseline over time with the technique"),
    "max_speedup": Term("1", "largest speedup"),
    "min_speedup": Term("1", "smallest speedup"),
    "gain": Term("1", "best objective with prefetch over best without"),
    "best_l2_none": Term("B", "L2 of the best chip without prefetch"),
    "best_l2_preserve": Term("B", "L2 of the best chip with prefetch"),
    "holds": Term("1", "whether all claims hold at once"),
    # chips
    "throughput": Term("token/s", "tokens per second: of one device in a study, of all requests in a schedule"),
    "throughput_per_area": Term("token/(s m2)", "tokens per second and die area"),
    "tokens_per_dollar": Term("token/USD", "tokens for what chip and electricity cost"),
    "dollars_per_million_tokens": Term("USD/Mtoken", "what owning costs for a million tokens"),
    "tokens_per_joule": Term("token/J", "tokens for the energy of a joule"),
    "dollars_per_s": Term(
        "USD/s", "what owning costs: device, host and network over lifetime and use, with electricity"
    ),
    "die_area": Term("m2", "area of the die"),
    "area_cores": Term("m2", "area of the cores"),
    "area_l2": Term("m2", "area of L2"),
    "area_hbm": Term("m2", "area of the HBM interfaces"),
    "area_links": Term("m2", "area of the link interfaces"),
    "area_joints": Term("m2", "area of the interfaces between dies"),
    "area_uncore": Term("m2", "area of all else"),
    "area_base": Term("m2", "area of the base dies"),
    "area_stacked": Term("m2", "area of SRAM stacked on dies"),
    "silicon_area": Term("m2", "area of all dies of a chip"),
    "shoreline": Term("1", "edge that interfaces need over the edge that dies have; above 1 they do not fit"),
    "reticle": Term("1", "largest die over the reticle"),
    "die_yield": Term("1", "share of dies that can be sold"),
    "host_time": Term("s", "time that the devices of a step wait for the host of its engine"),
    "power": Term("W", "power of the chip with its memory and links, mean over a step where there is one"),
    "price": Term("USD", "price of the chip with its memory, links and package"),
    "price_die": Term("USD", "price of the good compute dies"),
    "price_base": Term("USD", "price of the good base dies"),
    "price_stacked": Term("USD", "price of SRAM stacked on dies, bonds included"),
    "price_hbm": Term("USD", "price of the HBM stacks"),
    "price_links": Term("USD", "price of the links"),
    "price_package": Term("USD", "price of substrate, interposer and bumps"),
    "price_test": Term("USD", "price of assembly and test"),
    "price_loss": Term("USD", "price of what is lost with bonds that fail"),
    "switches": Term("USD", "a device's share of the switches that its links need"),
    "carbon": Term("kg", "carbon embodied in a chip with its memory and package"),
    "carbon_die": Term("kg", "carbon embodied in the compute dies"),
    "carbon_base": Term("kg", "carbon embodied in the base dies"),
    "carbon_stacked": Term("kg", "carbon embodied in stacked SRAM"),
    "carbon_hbm": Term("kg", "carbon embodied in the memory"),
    "carbon_package": Term("kg", "carbon embodied in the package"),
    "carbon_per_s": Term("kg/s", "embodied carbon over lifetime and use, with that of electricity"),
    # a device's bill, and owning it
    "price_lower": Term("USD", "end below which one twentieth of joint draws of the price lie"),
    "price_upper": Term("USD", "end above which one twentieth of joint draws of the price lie"),
    "part": Term("1", "part of a device that has a price of its own"),
    "part_area": Term("m2", "area of a part of a device; 0 for what is no die"),
    "part_price": Term("USD", "price of a part of a device"),
    "part_price_lower": Term("USD", "end below which one twentieth of joint draws of a part's price lie"),
    "part_price_upper": Term("USD", "end above which one twentieth of joint draws of a part's price lie"),
    "part_carbon": Term("kg", "carbon embodied in a part of a device"),
    "volume": Term("1", "devices over which a design is spread"),
    "design": Term("USD", "price of the designs of all its dies, with masks; 0 where not known"),
    "design_each": Term("USD", "price of the designs for each device made; 0 where not known"),
    "dollars_per_s_at_bill": Term("USD/s", "what owning costs at the price of the bill of materials"),
    "selling_price": Term("USD", "what a device sells at; 0 where not known"),
    "margin": Term("1", "share of the selling price above the bill of materials; 0 where not known"),
    # a stored KV cache
    "meet_time": Term("s", "time at which the fronts of computing and loading meet"),
    "meet_token": Term("token", "token at which the fronts of computing and loading meet"),
    "computed_tokens": Term("token", "tokens that were computed when the fronts met"),
    "loaded_tokens": Term("token", "tokens that were loaded when the fronts met"),
    "waste": Term("token", "tokens that were both computed and loaded"),
    "speedup_over_compute": Term("1", "time of computing alone over that of Cake"),
    "speedup_over_load": Term("1", "time of loading alone over that of Cake"),
    "uniform_bound": Term("s", "least time of computing and loading at once if every token cost the same"),
    "crossover_bandwidth": Term("B/s", "bandwidth above which loading alone beats computing alone"),
    "compute_time": Term("s", "end of a step of the computing front"),
    "compute_token": Term("token", "place of the computing front at the end of a step"),
    "load_time": Term("s", "end of a request of the loading front"),
    "load_token": Term("token", "place of the loading front at the end of a request"),
    "cake_ttft": Term("s", "time to first token of the prompt with a stored prefix"),
    "finish": Term("s", "time at which all requests are done"),
    "request_ttft": Term("s", "time to first token of each request without stored prefix"),
    "mean_request_ttft": Term("s", "mean time to first token of requests without stored prefix"),
    "step_start": Term("s", "time at which an engine step starts"),
    "step_tokens": Term("token", "tokens of an engine step"),
    "step_cake_tokens": Term("token", "tokens of an engine step that belong to the prompt with a stored prefix"),
    # servers and instances
    "latency": Term("s", "time from arrival to last token"),
    "gap": Term("s", "time between two tokens of one answer"),
    "requests_per_s": Term("1/s", "requests that are answered per second"),
    "prefill": Term("s", "time of the prefill of a batch"),
    "decode": Term("s", "mean time of a decode step of a batch"),
    "host": Term("s", "time of the host within it"),
    "loads": Term("s", "time that loads from the host add"),
    "offload_ratio": Term("1", "share of the KV cache that lies outside device memory"),
    "tps_total": Term("token/s", "input and output tokens per second"),
    "tps_output": Term("token/s", "output tokens per second"),
    "cost_per_token": Term("USD/token", "price of the instances that share a load, by input and output tokens"),
    "least_cost_per_token": Term("USD/token", "cost per token of the instance whose tokens cost least"),
    "instances": Term("1", "instances of one kind that share a load"),
    "meets": Term("1", "whether an instance meets the service level"),
    "choice": Term("1", "instance that ranks first: the service level for the least money"),
    "cheapest": Term("1", "instance whose tokens cost least, of those that meet the service level"),
    "short": Term("B", "device memory that is missing without offloading"),
    # coordinates
    "rate": Term("1/s", "requests that arrive per second"),
    "users": Term("1", "users who each wait for their answer before they ask again"),
    "operator": Term("1", "row of the operator table"),
    "model": Term("1", "language model"),
    "device": Term("1", "device"),
    "instance": Term("1", "cloud instance"),
    "technique": Term("1", "what runs beside the operators"),
    "policy": Term("1", "how a stored KV cache is used"),
    "mode": Term("1", "how an engine is shared: default or adaptive"),
    "phase": Term("1", "prefill, decode or mixed"),
    "batch": Term("1", "sequences in a step"),
    "context": Term("token", "tokens that each sequence has when the step ends"),
    "prefix": Term("token", "tokens of each prompt whose KV cache is already there"),
    "prefill_tokens": Term("token", "tokens of prompts in a mixed step"),
    "speculative": Term("token", "tokens that are drafted for each sequence of a step"),
    "acceptance": Term("1", "share of drafted tokens that are taken where all before them were"),
    "tp": Term("1", "degree of tensor parallelism"),
    "pp": Term("1", "degree of pipeline parallelism"),
    "ep": Term("1", "degree of expert parallelism"),
    "dp": Term("1", "degree of data-parallel attention"),
    "redundant_experts": Term("1", "copies of experts beside them, over all ranks"),
    "imbalance": Term("1", "tokens of the busiest rank of experts over the mean, 0 as random routing makes it"),
    "two_batch": Term("1", "1 where halves of the batch take turns"),
    "exchange": Term("1", "kernels that send tokens to experts: 0 by phase, 1 low-latency, 2 normal, 3 network"),
    "weight_bits": Term("bit", "precision of weights"),
    "activation_bits": Term("bit", "precision of activations"),
    "kv_bits": Term("bit", "precision of the KV cache"),
    "bits": Term("bit", "precision of both operands"),
    "tokens": Term("token", "length of a prompt"),
    "position": Term("token", "token at which a chunk starts"),
    "bandwidth": Term("B/s", "bandwidth of a storage tier, or of the links of a device"),
    "utilisation": Term("1", "share of the engine's token budget that a prompt has"),
    "ratio": Term("1", "share of the KV cache to offload"),
    "m": Term("1", "rows of a matmul"),
    "n": Term("1", "columns of a matmul"),
    "k": Term("1", "depth of a matmul"),
    "heads": Term("1", "query heads on a device"),
    "kv_heads": Term("1", "key-value heads on a device"),
    "head_dim": Term("1", "width of a head"),
    "window": Term("token", "reach of a sliding window, 0 if there is none"),
    "size": Term("B", "bytes of the whole message of a collective"),
    "devices": Term("1", "devices that take part"),
}


#: first word of names that go on with a limit of the caller's, which no list foresees
FAMILIES = {"excess": Term("1", "how far beyond its limit, as a share of it; at most 0 where it keeps to it")}
#: variables that are infinite where what they tell of never happens, or NaN behind the end of the shorter of two rows;
#: JSON has null there, or nothing
ABSENT = ("crossover_bandwidth", "step_start", "step_tokens", "step_cake_tokens")


def described(name: str) -> dict[str, str]:
    """Return the attributes of a variable or a coordinate of an answer: ``units``, ``long_name``, ``description``.

    Examples
    --------
    >>> described("ttft")
    {'units': 's', 'long_name': 'ttft', 'description': 'time to first token'}
    """
    term = NOMENCLATURE[name] if name in NOMENCLATURE else FAMILIES[name.partition("_")[0]]
    return {"units": term.unit, "long_name": name.replace("_", " "), "description": term.meaning}


def need_finite(value: Any, where: str = "answer") -> None:
    """Raise Infeasible if a number of an answer is not finite: every answer passes here, and so no such number leaves.

    Parameters
    ----------
    value : float, array, list or mapping
        Nested as deep as it may be; what is absent is None, and words pass.
    where : str
        What the error names.

    Examples
    --------
    >>> need_finite({"rows": [{"time_s": 1.0, "ttft_s": None}]})
    >>> need_finite({"rows": [{"time_s": float("nan")}]})
    Traceback (most recent call last):
    ...
    accelmodel.errors.Infeasible: answer.rows.0.time_s is nan: the question has no finite answer; look for a value \
that is 0, or far too small or large
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            need_finite(inner, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            need_finite(inner, f"{where}.{place}")
    elif isinstance(value, float | np.floating | np.ndarray):
        numbers = np.asarray(value)
        if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
            worst = numbers[~np.isfinite(numbers)].flat[0]
            raise Infeasible(
                f"{where} is {worst}: the question has no finite answer; look for a value that is 0, or far too small "
                "or large"
            )


def _everywhere(feasible: Any) -> bool:
    """Tell whether an answer is feasible at all of its points; no where it is yet to be computed."""
    return isinstance(feasible, np.ndarray) and bool(feasible.all())


def label(dataset: Labelled, absent: Collection[str] = ABSENT) -> Labelled:
    """Return the dataset, each of its variables described; what a coordinate already says of itself stays.

    Coordinates whose name is not in ``NOMENCLATURE`` are the caller's own and left as they are.  ``absent`` are the
    variables that may hold no number where the answer is feasible.

    Raises
    ------
    Infeasible
        If a number where the answer is feasible is not finite, see ``need_finite``.
    """
    partly = "feasible" in dataset and not _everywhere(dataset.variables["feasible"].data)
    for name in dataset.data_vars:
        variable = dataset.variables[name]
        if name not in absent and isinstance(variable.data, np.ndarray):  # not what is yet to be computed
            told = variable.values
            if partly and told.dtype.kind == "f" and not np.isfinite(told).all():
                # where nothing at all is feasible, some variables are one number for all of it
                told = dataset[name].where(dataset["feasible"], 0.0).values
            need_finite(told, str(name))
        variable.attrs = described(name)
    for name, coordinate in dataset.coords.items():
        if name in NOMENCLATURE:
            coordinate.attrs = {**described(name), **coordinate.attrs}
    return dataset
