"""Rankings and fleets as tables for a terminal."""

from __future__ import annotations

from typing import Any

from accelmodel.cli.terminal import print_table, say
from accelmodel.units import show


def _or_dash(value: float | None, unit: str = "") -> str:
    if value is None:
        return "–"
    return show(value, unit, 3) if unit else f"{value:.4g}"


def print_instances(data: dict[str, Any]) -> None:
    """Print the ranking, the choice, and what fewer bits save."""
    rows = [
        [
            row["instance"], f"{row['gpus']} {row['gpu']}", str(row["detail"]["instances"]),
            f"{row['detail']['weight_bits']:g}/{row['detail']['kv_bits']:g}", f"{row['price_usd_per_hour']:.4g}",
            f"{row['offload_ratio']:.0%}", _or_dash(row["tps_total"]), _or_dash(row["ttft_s"], "s"),
            _or_dash(row["tpot_s"], "s"), _or_dash(row["cost_usd_per_million_tokens"]), row["reason"],
        ]
        for row in data["rows"]
    ]  # fmt: skip
    columns = [
        "instance",
        "GPUs",
        "count",
        "bits",
        "USD/h",
        "offloaded",
        "tokens/s",
        "TTFT",
        "TPOT",
        "USD/M tokens",
        "",
    ]
    print_table(f"Instances for {data['model']}, {data['time_model']} time, engine {data['engine']}", columns, rows, 2)
    best = data["choice"]
    cost = _or_dash(best["cost_usd_per_million_tokens"])
    say(f"choice: {best['detail']['instances']} x {best['instance']}, {cost} USD per million input and output tokens")
    fewer = data["fewer_bits"]
    if fewer and fewer["saving"]:
        say(
            f"{fewer['weight_bits']:g}-bit weights and {fewer['kv_bits']:g}-bit KV cache save {fewer['saving']:.0%} "
            f"over {fewer['instance_at_most_bits']} at full precision"
        )
    if data["prices"]["note"]:
        say(f"{data['prices']['stale']} prices are stale (oldest {data['prices']['oldest']}): {data['prices']['note']}")


def print_fleet(data: dict[str, Any]) -> None:
    """Print the fleet and what it saves."""
    print_table(f"Fleet for {data['model']}", ["instance", "count"], [[n, str(c)] for n, c in data["counts"].items()])
    best = data["best_single"]
    beside = (
        f"; best single type: {best['count']} x {best['instance']}, {best['cost_usd_per_hour']:.4g}" if best else ""
    )
    saved = f", saving {data['saving']:.1%}" if best else "; no single type serves every bucket"
    say(f"{data['cost_usd_per_hour']:.4g} USD/h{beside}{saved}")
