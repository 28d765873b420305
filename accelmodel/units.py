"""Quantities at the border: text with a unit in, SI floats inside, text with a prefix out.

``GB`` is 10**9 bytes and ``GiB`` is 2**30 bytes, always; ``Gbps`` is 10**9 bit/s and ``Gibps``
2**30 bit/s.  Bits become bytes, areas become m², and everything inside the package is an SI float.
The grammar is small on purpose: one number, one unit, at most one ``/``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Any, TypeVar

import numpy as np

from accelmodel.errors import Infeasible, SpecError, brief
from accelmodel.nomenclature import CHIPS, COSTS, Term
from accelmodel.symbols import UNITS, meant, unit_factor, written

_QUANTITY = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")
#: longer prefixes first, so that "Gi" is tried before "G"
_SHOWN_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SMALL_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
#: SI unit that nobody reads → factor and the unit that people use
_SHOWN_AS = {
    "m": (1e3, "mm"),
    "m2": (1e6, "mm²"),
    "m2/B": (1e12, "mm²/MB"),
    "1/s": (1e-9, "GHz"),
    "USD/B": (1e9, "USD/GB"),
}
#: an ``xarray.Dataset``, which this module does not import
Labelled = TypeVar("Labelled", bound=Any)


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
    "gain": Term("1", "best objective with prefetch over best without"),
    "best_l2_none": Term("B", "L2 of the best chip without prefetch"),
    "best_l2_preserve": Term("B", "L2 of the best chip with prefetch"),
    "holds": Term("1", "whether all claims hold at once"),
    # chips
    **CHIPS,
    **COSTS,
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
    term = NOMENCLATURE[name]
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
    >>> need_finite({"rows": [{"time_s": math.nan}]})
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
            masked = partly and _masked(dataset, variable)
            told = dataset[name].where(dataset["feasible"], 0.0).values if masked else variable.values
            need_finite(told, str(name))
        variable.attrs = described(name)
    for name, coordinate in dataset.coords.items():
        if name in NOMENCLATURE:
            coordinate.attrs = {**described(name), **coordinate.attrs}
    return dataset


def parse(text: str | float, unit: str, *, what: str = "quantity", near: float = 0.0) -> float:
    """Return the SI value of ``text``.

    Parameters
    ----------
    text : str or float
        A number with a unit, such as ``"3.35 TB/s"``; a float is in SI.  Text needs a unit, where ``unit`` is one and
        the number not 0.
    unit : str
        The SI unit expected, such as ``"B/s"``; another dimension is an error.
    what : str
        Name used in the error message.
    near : float
        What it is now, by which an error tells the unit that was most likely meant [unit].

    Returns
    -------
    float
        Value in SI units.

    Raises
    ------
    SpecError
        If it is no finite number, or its unit is missing, unknown or of another dimension.

    Examples
    --------
    >>> parse("3.35 TB/s", "B/s")
    3350000000000.0
    >>> parse("32Gbps", "B/s")
    4000000000.0
    >>> parse("104MB", "B")
    104000000.0
    >>> parse("104", "B", what="--l2", near=40e6)
    Traceback (most recent call last):
    ...
    accelmodel.errors.SpecError: --l2: '104' has no unit: write 104MB
    """
    shown, example = brief(text), "1.5" if unit == "1" else written(1.5, unit, near)
    match = _QUANTITY.match(text if isinstance(text, str) else _in_digits(text))
    if match is None:
        raise SpecError(
            f"{what}: {shown} is not a number{' with a unit' * (unit != '1')}; give for example '{example}'"
        )
    number, symbol = float(match[1]), match[2]
    if not math.isfinite(number):
        raise SpecError(f"{what}: {shown} is not a finite number")
    if isinstance(text, str) and not symbol and unit != "1" and number:
        raise SpecError(f"{what}: {shown} has no unit: write {written(number, unit, near)}")
    try:
        dimension, factor = unit_factor(symbol) if symbol else (unit, 1.0)
    except SpecError as error:
        likely = meant(number, symbol, unit)
        wrong = f"{shown}: unknown unit {brief(symbol)}: write {likely}" if likely else error
        raise SpecError(f"{what}: {wrong}") from None
    if dimension != unit:
        raise SpecError(f"{what}: {shown} is in {dimension}, expected {unit}; give for example '{example}'")
    value = number * factor
    if not math.isfinite(value):
        raise SpecError(f"{what}: {shown} is not a finite number")
    return value


def _everywhere(feasible: Any) -> bool:
    """Tell whether an answer is feasible at all of its points; no where it is yet to be computed."""
    return isinstance(feasible, np.ndarray) and bool(feasible.all())


def _masked(dataset: Any, variable: Any) -> bool:
    """Tell whether a variable says nothing where the answer is not feasible."""
    return "feasible" in dataset and variable.dtype.kind == "f" and set(dataset["feasible"].dims) <= set(variable.dims)


def _in_digits(value: object) -> str:
    """Return a number as text, whatever kind of number it is; empty where it is none."""
    try:
        return "" if isinstance(value, bool | str) else repr(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return ""


def show(value: float, unit: str, digits: int = 4) -> str:
    """Return ``value`` with the decimal prefix that reads best.

    Parameters
    ----------
    value : float
        In SI.
    unit : str
        Its SI unit, such as ``"B/s"``.
    digits : int
        Significant digits.

    Returns
    -------
    str

    Examples
    --------
    >>> show(3.35e12, "B/s")
    '3.35 TB/s'
    >>> show(2.5e-5, "s")
    '25 µs'
    >>> show(6.656e-4, "m2")
    '665.6 mm²'
    """
    if unit in _SHOWN_AS:
        factor, shown = _SHOWN_AS[unit]
        return f"{value * factor:.{digits}g} {shown}"
    if unit == "B" and abs(value) < 0.5:
        return "0 B"
    carried = UNITS.get(unit.partition("/")[0], ("", 1.0, {}))[2]
    small = "µ" in carried and (abs(value) < 1.0 or unit == "s")
    if len(carried) <= 2 or value == 0.0 or not math.isfinite(value):
        return f"{value:.{digits}g} {unit}".removesuffix(" 1").rstrip()
    table = _SMALL_PREFIXES if small else _SHOWN_PREFIXES
    scale, prefix = next((row for row in table if abs(value) >= row[0]), table[-1])
    return f"{value / scale:.{digits}g} {prefix}{unit}"
