"""Whole servers against measurements: time per token and to the first token of continuous batching.

A number of users who each wait for an answer and ask again (``measured.servers``).  Ten requests a user are simulated
(``laws.kernels.disaggregated`` where prompts and answers have servers of their own); the first of all users come at
once, which the measured means include.  Most points are of InferenceMAX, whose requests have 0.8 to 1 of the stated
lengths; users with one and the same length stay in step with each other, which makes them wait longer.  An engine adds
a time for each layer of a step and for each sequence, and to each request and token of its prompt before the queue:
fitted by version, to aggregated serving only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from accelmodel.calibration.errors import statistics
from accelmodel.inference.calls import as_engine, paired
from accelmodel.laws.kernels.batching import Rules, Times, Traffic, curve, surface
from accelmodel.laws.kernels.disaggregated import serve_disaggregated
from accelmodel.measured.servers import SERVER, handed_over, launch, points
from accelmodel.serving import simulate
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import pandas as pd

#: requests of each user, as the measurements have
ROUNDS = 10
#: shortest of the uniformly drawn lengths of InferenceMAX, of the stated one (its RANDOM_RANGE_RATIO)
SHORTEST = 0.8
#: how far answers of other drawn lengths are from the stated one, at most, of it
SPREAD = 0.1
#: sequences of a step: more than any point needs
SEQUENCES = 2048


class Host(NamedTuple):
    """What an engine adds [s]: to a step by layer and sequence; before the queue, to a request and by prompt token.

    And to any step; its ``efficiency`` [1] is the share of the kernels' speed that steps reach.
    """

    layer: float = 0.0
    sequence: float = 0.0
    entry: float = 0.0
    token: float = 0.0
    step: float = 0.0
    efficiency: float = 1.0


#: candidates of the last two [s], [s/token]; some engines would take more, which would be no host's time
ENTRIES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08)
TOKENS = (0.0, 2e-6, 5e-6, 1e-5, 2e-5)
#: most points from which they are chosen
ENOUGH = 40
#: reach of the tables of step times
LONGEST, WIDEST = 17_000.0, 32_768.0
#: fewest points of an engine and kind that are worth a fit
FEWEST = 15
#: logarithmic error from which it is counted linearly
SOFT = 0.1

Progress = Callable[[str], None]


#: framework of measured servers → its file of engines
FRAMEWORKS = {"trtllm": "tensorrt-llm", "vllm": "vllm", "sglang": "sglang"}
#: models whose files of 8 bit have a scale of 32 bit for each block of 128 x 128, as the makers state
IN_BLOCKS, SCALE = ("deepseek-v3", "qwen3-235b-a22b"), 32.0 / 128.0**2


@cache
def _tables(engine: str, model: str, device: str, tp: float, ep: float, bits: float, kv: float) -> Times:
    """Return the step times of one server, whose kernels are those of an engine and its version."""
    scales = SCALE if model in IN_BLOCKS and bits == 8.0 else 0.0
    work = {"tp": tp, "ep": ep, "weight_bits": bits + scales, "activation_bits": bits, "kv_bits": kv}
    rules = load("engine", FRAMEWORKS[engine.split()[0]])
    chip = paired(as_engine(cluster(load("device", device)), rules), tp)
    return simulate.step_tables(load("model", model), [chip], float(SEQUENCES), LONGEST, WIDEST, **work)[0]


def traffic(row: Any) -> Traffic:
    """Return the requests of a point: ten for each user, of drawn lengths where they differ."""
    count = ROUNDS * row.users
    if not row.drawn:
        return simulate.closed_loop(row.users, count, np.int64(row.prompt), np.int64(row.answer))
    draw = np.random.default_rng(count)
    if not row.public:
        ends = (int((1.0 - SPREAD) * row.answer), int((1.0 + SPREAD) * row.answer) + 1)
        return simulate.closed_loop(row.users, count, np.int64(row.prompt), draw.integers(*ends, count))
    prompt, answer = (draw.integers(int(SHORTEST * most), most + 1, count) for most in (row.prompt, row.answer))
    return simulate.closed_loop(row.users, count, prompt, answer)


def rules(row: Any, host: Host) -> Rules:
    """Return what the engine of a point does, as it is started, and what its host adds."""
    begun, each = launch(row), host.layer * row.layers + host.step
    return Rules(
        begun.slots or SEQUENCES, row.room, begun.chunk, 0, each, host.sequence, 0.0, False,
        host.entry, host.token, begun.gather, begun.apart, begun.poll,
    )  # fmt: skip


def predict(frame: pd.DataFrame, engines: dict[str, Host] | None = None) -> tuple[Any, Any]:
    """Return the mean time to first token and per further token of some points [s].

    Parameters
    ----------
    frame : DataFrame
        As from ``points``.
    engines : dict, optional
        Engine → what its host adds; nothing by default.
    """

    def served(row: Any) -> tuple[float, float]:
        times = _tables(row.engine, row.model, row.device, row.tp, row.ep, row.bits, row.kv)
        host = (engines or {}).get(row.engine, Host())
        slower = Times(*(each / host.efficiency for each in times))
        found = simulate.simulate(slower, rules(row, host), traffic(row), gaps=False)
        between = (found.finish - found.first) / np.maximum(found.traffic.answer - 1, 1)
        return float(np.mean(found.first - found.traffic.arrival)), float(np.mean(between))

    for row in frame.drop_duplicates(["engine", *SERVER]).itertuples():
        _tables(row.engine, row.model, row.device, row.tp, row.ep, row.bits, row.kv)
    # the kernel holds no lock, so that threads share the cores
    with ThreadPoolExecutor() as pool:
        first, between = zip(*pool.map(served, frame.itertuples()), strict=True)
    return np.array(first), np.array(between)


def predict_handed_over(frame: pd.DataFrame, engines: dict[str, Host]) -> tuple[Any, Any]:
    """Return the mean time to first token and per further token of disaggregated points [s].

    A decode step is that of the mean context; the time before the queue is that of the stated prompt.

    Parameters
    ----------
    frame : DataFrame
        As from ``measured.servers.handed_over``.
    engines : dict
        Engine → what its host adds; nothing for others.
    """
    predicted = []
    for row in frame.itertuples():
        host, asked = engines.get(row.engine, Host()), traffic(row)
        host_step = host.layer * row.layers
        times = _tables(row.engine, row.model, row.device, row.tp, row.ep, row.bits, row.kv)
        sizes, place = np.unique(asked.prompt, return_inverse=True)
        alone = [surface(times.prompt_attention, n, 1.0) + curve(times.other, n) for n in sizes.astype(float)]
        times = _tables(row.engine, row.model, row.device, row.decode_tp, row.decode_ep, row.bits, row.kv)
        context = float(np.mean(asked.prompt + asked.answer / 2.0))
        counts = np.arange(1.0, row.users + 1.0)
        step = [surface(times.decode_attention, n, context) + curve(times.other, n) for n in counts]
        first, finish = (np.zeros(len(asked.prompt)) for _ in range(2))
        serve_disaggregated(
            asked, np.array(alone)[place] + host_step, np.array(step) + host_step + host.sequence * counts,
            np.array([row.workers, row.decode_workers]), host.entry + host.token * row.prompt, first, finish,
        )  # fmt: skip
        between = (finish - first) / np.maximum(asked.answer - 1, 1)
        predicted.append((float(np.mean(first - asked.arrival)), float(np.mean(between))))
    return tuple(np.array(predicted).T)


def fit(frame: pd.DataFrame, bare: Any) -> tuple[float, float]:
    """Return the time of a layer and of a sequence in each step of an engine [s].

    Robust fit of log(bare + layers x layer + users x sequence) to the measured time per token, ``bare`` being the
    prediction without an engine [s].
    """
    from scipy.optimize import least_squares

    layers, users, measured = (frame[name].to_numpy() for name in ("layers", "users", "tpot"))

    def errors(x: Any) -> Any:
        layer, sequence = np.exp(x)
        return np.log((bare + layers * layer + users * sequence) / measured)

    low, high = np.log([1e-9, 1e-9]), np.log([1e-3, 1e-3])
    found = least_squares(errors, np.log([1e-5, 1e-5]), bounds=(low, high), loss="soft_l1", f_scale=SOFT)
    layer, sequence = np.exp(found.x)
    return float(layer), float(sequence)


def misses(frame: pd.DataFrame) -> Callable[[Host], float]:
    """Return how far a host is off: mean absolute logarithmic error of times of tokens, first and further.

    On some ``ENOUGH`` points, evenly among all by users times answer.  Of both times, since a way to the queue that
    lets fewer users decode at once would pass for a slower step.
    """
    order = np.argsort((frame["users"] * frame["answer"]).to_numpy(), kind="stable")
    chosen = frame.iloc[order[:: -(-len(order) // ENOUGH)]]
    measured = np.array([chosen["ttft"], chosen["tpot"]])

    @cache
    def error(candidate: Host) -> float:
        predicted = np.array(predict(chosen, dict.fromkeys(chosen["engine"], candidate)))
        return float(np.mean(np.abs(np.log(predicted / measured))))

    return error


def fit_entry(host: Host, error: Callable[[Host], float]) -> Host:
    """Return the host with the times before the queue that are off least.

    Over ``ENTRIES``, then ``TOKENS``, then ``ENTRIES`` again.
    """
    for name, values in (("entry", ENTRIES), ("token", TOKENS), ("entry", ENTRIES)):
        host = min((host._replace(**{name: value}) for value in values), key=error)
    return host


def fit_host(frame: pd.DataFrame, bare: Any) -> Host:
    """Return what the host of an engine adds, fitted to points of it.

    Layers and sequences, then the way to the queue, which changes who waits for whom; then layers and sequences again,
    if that is better: a longer step lets more prompts come together, which the fit of further tokens does not see.

    Parameters
    ----------
    frame : DataFrame
        Training points of one engine.
    bare : ndarray
        Their predicted times per token without an engine [s].
    """
    error = misses(frame)
    host = fit_entry(Host(*fit(frame, bare)), error)
    waited = predict(frame, dict.fromkeys(frame["engine"], host._replace(layer=0.0, sequence=0.0)))[1]
    again = host._replace(**dict(zip(("layer", "sequence"), fit(frame, waited), strict=True)))
    return min((host, again, fit_entry(again, error), Host()), key=error)


def _with_predictions(frame: pd.DataFrame, ours: Any, bare: Any) -> pd.DataFrame:
    """Return points with their predictions, with and without engine: (first token, further tokens) [s]."""
    names = ("our_ttft", "our_tpot", "bare_ttft", "bare_tpot")
    return frame.assign(**dict(zip(names, (*ours, *bare), strict=True)))


def _errors(predicted: pd.DataFrame, **labels: Any) -> list[dict[str, Any]]:
    """Return the accuracy of points with their predictions: a row for each quantity."""
    return [
        {
            **labels, "quantity": quantity, **statistics(predicted[f"our_{quantity}"], predicted[quantity]),
            "bare_median_ape": statistics(predicted[f"bare_{quantity}"], predicted[quantity])["median_ape"],
        }
        for quantity in ("ttft", "tpot")
    ]  # fmt: skip


def _rows(predicted: pd.DataFrame, **labels: Any) -> list[dict[str, Any]]:
    """Return the accuracy of points by model, device and bits."""
    return [
        row
        for (model, device, bits), group in predicted.groupby(["model", "device", "bits"])
        for row in _errors(group, device=device, model=model, precision=f"{bits:g} bit", **labels)
    ]


def _whole(parts: list[pd.DataFrame], mode: str, split: str) -> list[dict[str, Any]]:
    """Return the accuracy over all engines, models and devices, by kind of model: every point counts once."""
    import pandas as pd

    if not parts:
        return []
    labels = dict.fromkeys(("device", "model", "source", "precision"), "all")
    return [
        row
        for kind, group in pd.concat(parts).groupby("kind")
        for row in _errors(group, **labels, kind=kind, mode=mode, split=split)
    ]


def _constants(host: Host) -> dict[str, float]:
    names = ("layer_time_s", "sequence_time_s", "entry_time_s", "prompt_token_time_s", "step_time_s", "efficiency")
    return dict(zip(names, host, strict=True))


def handed_over_rows(hosts: dict[tuple[str, str], Host]) -> list[dict[str, Any]]:
    """Return the accuracy of disaggregated simulate, to which nothing is fitted.

    Parameters
    ----------
    hosts : dict
        (Engine, kind) → what its host adds in aggregated serving; other engines have ``split`` "not fitted".
    """
    found: list[dict[str, Any]] = []
    parts = []
    for (engine, kind), frame in handed_over().groupby(["engine", "kind"]):
        host = hosts.get((str(engine), str(kind)))
        bare = predict_handed_over(frame, {})
        ours = predict_handed_over(frame, {str(engine): host}) if host else bare
        split = "fitted to aggregated serving" if host else "not fitted"
        labels = {"kind": kind, "source": engine, "mode": "disaggregated", "split": split, **_constants(host or Host())}
        parts.append(_with_predictions(frame, ours, bare))
        found += _rows(parts[-1], **labels)
    return _whole(parts, "disaggregated", "not fitted") + found


def table(progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return the accuracy of whole servers over all points of a kind, and by engine, kind, model and device.

    Of aggregated serving on held-out points; of disaggregated serving on all points.

    Returns
    -------
    list of dict
        ``device``, ``model``, ``kind``, ``source`` (engine), ``precision``, all of them ``"all"`` in the first rows;
        ``quantity`` ("tpot" or "ttft"), ``n``,
        ``median_ape``, ``mean_ape``, ``p90_ape``, ``bias``, ``bare_median_ape`` (without engine), ``mode``
        ("aggregated" or "disaggregated"), ``layer_time_s``, ``sequence_time_s``, ``entry_time_s``,
        ``prompt_token_time_s``, ``split``.
    """
    found: list[dict[str, Any]] = []
    parts = []
    hosts: dict[tuple[str, str], Host] = {}
    for (engine, kind), frame in points().groupby(["engine", "kind"]):
        if len(frame) < FEWEST:
            continue
        if progress:
            progress(f"{engine}, {kind}")
        bare = predict(frame)
        seen = frame["training"].to_numpy()
        hosts[str(engine), str(kind)] = host = fit_host(frame[seen], bare[1][seen])
        held = frame[~seen]
        ours = predict(held, {str(engine): host})
        labels = {"kind": kind, "source": engine, "mode": "aggregated", "split": "held-out", **_constants(host)}
        parts.append(_with_predictions(held, ours, [each[~seen] for each in bare]))
        found += _rows(parts[-1], **labels)
    if progress:
        progress("disaggregated")
    return _whole(parts, "aggregated", "held-out") + found + handed_over_rows(hosts)
