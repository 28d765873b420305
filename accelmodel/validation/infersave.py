"""InferSave against its own figures, and choices against serving that others measured.

Rows stand in ``hwspecs/published``: ``infersave.toml`` (Tables IV to VI), ``llm-pilot.toml`` (medians of a real
server), ``tensorrt-llm.toml`` (first tokens).  Engines were fitted to one row of Table V and to llama-7b on A100;
everything else here is a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from accelmodel.cloud import infersave
from accelmodel.cloud.ctcf import apply, fit, mean_error
from accelmodel.cloud.hosting import Setup, host
from accelmodel.cloud.infersave import Server, Shape, Task
from accelmodel.errors import unknown
from accelmodel.laws.kernels.batching import step_time
from accelmodel.laws.numeric import Array, Floats
from accelmodel.serving.serve import Replica
from accelmodel.serving.simulate import closed_loop, rules_of, simulate, step_tables, summary, under
from accelmodel.serving.step_times import axis, device_times, split_times
from accelmodel.specs import facts
from accelmodel.specs.cloud import Instance
from accelmodel.specs.given import cluster, override, workload
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.specs.parameters import parameters

MODEL, BATCH, ENGINE = "opt-2.7b", 32, "flexgen"
#: workload → tokens in and out, requests of the whole job
WORKLOADS = {"online": (128, 512, 3000), "offline": (1024, 128, 1000)}


def published(name: str, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table of ``hwspecs/published``."""
    content, _ = facts.read_toml(facts.root() / "published" / f"{name}.toml")
    rows: list[dict[str, Any]] = content[table]
    return rows


def servers() -> list[dict[str, Any]]:
    """Return the instances of Table IV, the cheapest first."""
    return published("infersave", "server")


def _instances() -> list[Instance]:
    return [load("instance", row["instance"]) for row in servers()]


@cache
def throughputs(time_model: str, workload_name: str) -> dict[str, float]:
    """Return predicted throughput of each GPU [token/s, in and out], with the offloading ratios that were printed."""
    tokens_in, tokens_out, _ = WORKLOADS[workload_name]
    task = Task(float(BATCH), float(tokens_in), float(tokens_out))
    ratios = [row[f"{workload_name}_ratio"] for row in servers()]
    model = load("model", MODEL)
    if time_model == "as-published":
        shape = Shape(model.layers, model.hidden, model.ffn, model.heads, float(parameters(model)), 2.0)
        fields = ("memory_gb", "tflops", "pcie_gb_per_s", "pcie_gb_per_s")
        scales = (1e9, 1e12, 1e9, 1e9)
        table_iv = Server(*(np.array([row[f] * s for row in servers()]) for f, s in zip(fields, scales, strict=True)))
        prefill, decode = infersave.as_published(shape, task, table_iv, np.array(ratios))
        found = infersave.total_tps(task, infersave.end_to_end(prefill, decode, task))
    else:
        axis_of = np.unique(ratios)
        result = host(model, _instances(), task, Setup(load("engine", ENGINE)), "physical", ratio=axis_of)
        at = [int(np.searchsorted(axis_of, ratio)) for ratio in ratios]
        found = result.tps_total.values[np.arange(len(at)), 0, at]
    return {row["gpu"]: float(tps) for row, tps in zip(servers(), found, strict=True)}


def chosen(time_model: str, workload_name: str, slo: float) -> str:
    """Return the instance that InferSave's last stage takes, by predicted throughput and the paper's prices."""
    tokens_in, tokens_out, _ = WORKLOADS[workload_name]
    tps = np.array(list(throughputs(time_model, workload_name).values()))
    price = np.array([row["price"] for row in servers()])
    value = infersave.cost_efficiency(BATCH * (tokens_in + tokens_out), tps, slo, price)
    return str(servers()[infersave.order(value, tps, tps >= slo)[0]]["instance"])


def job_cost(time_model: str, workload_name: str, instance: str) -> float:
    """Return the cost of the whole job by predicted throughput and whole hours [USD]."""
    tokens_in, tokens_out, requests = WORKLOADS[workload_name]
    row = next(row for row in servers() if row["instance"] == instance)
    tps = throughputs(time_model, workload_name)[row["gpu"]]
    return float(infersave.billed_hours(requests * (tokens_in + tokens_out), tps) * row["price"])


def saving(time_model: str, workload_name: str, slo: float) -> float:
    """Return what the choice saves over always renting the fastest instance [1]."""
    dearest = servers()[-1]
    choice = chosen(time_model, workload_name, slo)
    if workload_name == "online":  # the paper bills one hour of each
        price = next(row["price"] for row in servers() if row["instance"] == choice)
        return float(1.0 - price / dearest["price"])
    return 1.0 - job_cost(time_model, workload_name, choice) / job_cost(time_model, workload_name, dearest["instance"])


def choices(time_model: str) -> float:
    """Return how many of the paper's four choices come out."""
    rows = published("infersave", "choice")
    return float(sum(chosen(time_model, row["workload"], row["slo"]) == row["instance"] for row in rows))


@cache
def serving(name: str) -> list[tuple[dict[str, Any], Array, Array]]:
    """Return each measured configuration of a model with predicted gaps and times to first token [s], over its users.

    Lengths of requests are drawn from exponential distributions with the measured means: those of the
    traces are not published.
    """
    model, engine = load("model", name), load("engine", "tgis")
    found = []
    for row in published("llm-pilot", "serving"):
        if row["model"] != name:
            continue
        chips = cluster(load("device", row["device"]), row["devices"])
        times = step_tables(model, [chips], max(row["users"]), 256, 16384, tp=float(row["devices"]))[0]
        replica = Replica(under(engine, times), rules_of(engine, model.layers, math.inf))
        seen = [_seen(replica, *at) for at in zip(row["users"], row["input"], row["output"], strict=True)]
        found.append((row, np.array([gap for gap, _ in seen]), np.array([ttft for _, ttft in seen])))
    return found


def _seen(replica: Replica, users: int, mean_in: float, mean_out: float) -> tuple[float, float]:
    draw, requests = np.random.default_rng(0), max(400, 12 * users)
    lengths = (np.maximum(draw.exponential(mean, requests).round(), 1.0) for mean in (mean_in, mean_out))
    predicted = summary(simulate(replica.times, replica.rules, closed_loop(users, requests, *lengths)))
    return predicted["gap_s"], predicted["ttft_s"]


#: models that the engine was not fitted to, service levels of the choices, users to serve
UNSEEN = ("longalpaca-13b", "starcoder", "gpt-neox-20b")
GAPS_MS, FIRST_MS, USERS = (30.0, 50.0, 75.0, 100.0), (250.0, 500.0, 1000.0, 2000.0), 200


def _most_users(users: list[int], gaps: Array, first: Array, level: tuple[float, float], between: bool) -> float:
    """The most users on one server with all fewer within the level as well; 0 if not even one.

    ``between`` the counts that were tried times are taken to be linear; else only counts that were tried are answers.
    """
    worst = np.maximum(np.asarray(gaps) / level[0], np.asarray(first) / level[1])
    over = np.flatnonzero(worst > 1.0)
    if over.size == 0:
        return float(users[-1])
    at = int(over[0])
    if at == 0 or not between:
        return float(users[at - 1]) if at else 0.0
    part = (1.0 - worst[at - 1]) / (worst[at] - worst[at - 1])
    return float(np.floor(users[at - 1] + part * (users[at] - users[at - 1]) + 1e-9))


def _cases(name: str, between: bool) -> list[list[tuple[float, float]]]:
    """Predicted and measured cost of each configuration [USD/h], for each service level that one of them meets."""
    found = []
    for level in ((gap, first) for gap in GAPS_MS for first in FIRST_MS):
        costs = []
        for row, gaps, first in serving(name):
            most = (
                _most_users(row["users"], gaps * 1e3, first * 1e3, level, between),
                _most_users(row["users"], row["gap_ms"], row["ttft_ms"], level, between),
            )
            predicted, real = (math.ceil(USERS / each) * row["price"] if each else math.inf for each in most)
            costs.append((predicted, real))
        if math.isfinite(min(real for _, real in costs)):
            found.append(costs)
    return found


@cache
def choice_quality(between: bool = True) -> dict[str, float]:
    """Return how good choices are over models and service levels.

    For each the cheapest number of servers of each configuration for ``USERS`` users is sought, with predicted and
    with measured times.  ``right``: the configuration chosen is the cheapest by measurement; ``overspend``: mean of its
    measured cost over the cheapest, less 1, where it can serve at all; ``holds``: no more servers are needed than
    predicted (the success of LLM-Pilot, arXiv 2410.02425); ``cases``.
    """
    cases = [costs for name in UNSEEN for costs in _cases(name, between)]
    chosen_costs = [min(costs) for costs in cases]
    least = np.array([min(real for _, real in costs) for costs in cases])
    predicted, real = (np.array(column) for column in zip(*chosen_costs, strict=True))
    able = np.isfinite(predicted) & np.isfinite(real)
    return {
        "right": float(np.mean(able & (real <= least * (1.0 + 1e-9)))),
        "overspend": float(np.mean(real[able] / least[able]) - 1.0),
        "holds": float(np.mean(np.isfinite(predicted) & (predicted >= real))),
        "cases": float(len(cases)),
    }


def serving_error(what: str) -> float:
    """Return the mean factor between predicted and measured medians, 1 being perfect, to 64 users."""
    logs = []
    for name in UNSEEN:
        for row, gaps, first in serving(name):
            predicted, measured = (gaps, row["gap_ms"]) if what == "gap" else (first, row["ttft_ms"])
            few = np.array(row["users"]) <= 64
            logs.append(np.abs(np.log(predicted[few] * 1e3 / np.array(measured)[few])))
    return float(np.exp(np.concatenate(logs).mean()))


def _published_times(model: LanguageModel, device: str, batch: Floats, tokens: float, tp: int) -> tuple[Floats, Floats]:
    """Times of prefill and decode step by the paper's equations without calibration, devices counted as one [s]."""
    chip = load("device", device)
    shape = Shape(model.layers, model.hidden, model.ffn, model.heads, float(parameters(model)), 2.0)
    server = Server(chip.hbm.capacity * tp, chip.compute.vector_rate * tp, 1e10, 1e10)
    return infersave.as_published(shape, Task(batch, tokens, 0.0), server, 0.0)


@cache
def ctcf() -> list[dict[str, float | str]]:
    """Return mean errors of the paper's times before and after calibration, and of the physical model.

    Decode: fitted to llama-7b on one A100 at 1 to 64 users, looked at there and on llama-13b and StarCoder on one A100.
    Prefill: fitted to LLaMA 7B at 128 and 2,048 tokens on each GPU, looked at there and on LLaMA 70B on four.
    """
    return [_decode_ctcf(), *(_prefill_ctcf(row) for row in published("tensorrt-llm", "first_token"))]


def _decode_ctcf() -> dict[str, float | str]:
    def rows(name: str) -> tuple[Floats, Array, Array]:
        model, engine = load("model", name), load("engine", "tgis")
        row = next(r for r in published("llm-pilot", "serving") if (r["model"], r["device"], r["devices"])
                   == (name, "a100-sxm-40gb", 1))  # fmt: skip
        few = np.array([users for users in row["users"] if users <= 64], float)
        tokens = float(np.mean(row["input"][: few.size]) + np.mean(row["output"][: few.size]) / 2.0)
        size = axis("batch", few)
        work = workload(phase="decode", batch=size, context=round(tokens))
        attention, rest = split_times(model, [cluster(load("device", row["device"]), 1)], work, [size])
        device = rest[0] + engine.attention_factor * attention[0]
        hosted: Any = step_time
        ours = hosted(device, few, 0.0, few, rules_of(engine, model.layers, math.inf))
        paper = _published_times(model, row["device"], few, tokens, 1)[1]
        return paper, ours, np.array(row["gap_ms"][: few.size]) / 1e3

    fitted, elsewhere = rows("longalpaca-7b"), [rows(name) for name in ("longalpaca-13b", "starcoder")]
    pair = fit(fitted[0], fitted[2])
    return {
        "phase": "decode", "device": "a100-sxm-40gb", "alpha": pair.alpha, "beta": pair.beta,
        "before": mean_error(fitted[0], fitted[2]), "after": mean_error(apply(pair, fitted[0]), fitted[2]),
        "elsewhere": float(np.mean([mean_error(apply(pair, paper), real) for paper, _, real in elsewhere])),
        "physical": float(np.mean([mean_error(ours, real) for _, ours, real in elsewhere])),
    }  # fmt: skip


def _prefill_ctcf(row: dict[str, Any]) -> dict[str, float | str]:
    models = {"7b": load("model", "longalpaca-7b"), "70b": override(load("model", "llama-3-70b"), vocabulary=32000.0)}
    paper, ours = [], []
    for name, tp, tokens in zip(row["model"], row["tp"], row["input"], strict=True):
        paper.append(float(_published_times(models[name], row["device"], 1.0, tokens, tp)[0]))
        bits = {"weight_bits": float(row["bits"]), "activation_bits": float(row["bits"])}
        work = workload(phase="prefill", batch=axis("batch", [1.0]), context=tokens, tp=tp, **bits)
        ours.append(float(device_times(models[name], [cluster(load("device", row["device"]), tp)], work,
                                       [axis("batch", [1.0])])[0, 0]))  # fmt: skip
    real = np.array(row["ttft_ms"]) / 1e3
    seen = np.array([name == "7b" for name in row["model"]])
    pair = fit(np.array(paper)[seen], real[seen])
    after = apply(pair, paper)
    return {
        "phase": "prefill", "device": row["device"], "alpha": pair.alpha, "beta": pair.beta,
        "before": mean_error(np.array(paper)[seen], real[seen]), "after": mean_error(after[seen], real[seen]),
        "elsewhere": mean_error(after[~seen], real[~seen]), "physical": mean_error(np.array(ours)[~seen], real[~seen]),
    }  # fmt: skip


#: first word of a quantity → function of the words after it
FUNCTIONS: dict[str, Callable[..., float]] = {
    "tps": lambda time_model, workload_name, gpu: throughputs(time_model, workload_name)[gpu],
    "saving": lambda time_model, workload_name, slo: saving(time_model, workload_name, float(slo)),
    "choices": choices,
    "quality": lambda what, counts: choice_quality(counts == "between")[what] + (what == "overspend"),
    "serving": serving_error,
}


def quantity(name: str) -> float:
    """Return a quantity by its name ``infersave.FUNCTION.ARGUMENT…``; raises SpecError if there is none."""
    function, *words = name.split(".")[1:]
    if function not in FUNCTIONS:
        raise unknown("quantity of infersave", function, FUNCTIONS)
    return float(FUNCTIONS[function](*words))
