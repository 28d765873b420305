"""The answer of ``accelmodel cake`` as a table for a terminal."""

from __future__ import annotations

from typing import Any

from accelmodel.cli.terminal import print_table, say
from accelmodel.kvcache.words import HEADINGS, bandwidth_words
from accelmodel.units import show


def print_answer(data: dict[str, Any]) -> None:
    """Print the rows, and what a reader must know about them."""
    rows = []
    for row, detail in zip(data["rows"], data["details"], strict=True):
        rows.append(
            [
                f"{row['tokens']:,}",
                bandwidth_words(row["bandwidth_bytes_per_s"]),
                f"{row['utilisation']:.3g}",
                f"{row['kv_bits']:g}",
                *(show(time, "s") for time in row["ttft_s"].values()),
                f"{row['meet_token']:,.0f}",
                f"{row['speedup_over_compute']:.2f}",
                f"{row['speedup_over_load']:.2f}",
                detail["regime"],
            ]
        )
    columns = ["tokens", "bandwidth", "share", "KV bits", *(HEADINGS[name] for name in data["rows"][0]["ttft_s"])]
    columns += ["meet at", "x compute", "x load", "regime"]
    print_table(f"Time to first token of {data['model']} on {data['tp']} x {data['device']}", columns, rows)
    for row, detail in zip(data["rows"], data["details"], strict=True):
        if detail["why_cake_loses"]:
            place = f"{row['tokens']:,} tokens, {bandwidth_words(row['bandwidth_bytes_per_s'])}"
            say(f"{place}, share {row['utilisation']:.3g}: Cake is {detail['why_cake_loses']}")
    crossings = {detail["crossover_bandwidth_bytes_per_s"] for detail in data["details"]} - {None}
    if crossings:
        ends = dict.fromkeys(bandwidth_words(value) for value in (min(crossings), max(crossings)))
        say(f"loading alone beats computing alone above {' to '.join(ends)}")
    say(f"chunk times: {data['chunk_times']}; tail {show(data['tail_s'], 's')}; weakest fact: {data['weakest_fact']}")
    for note in data["notes"]:
        say(note)
    for fronts in data.get("fronts", []):
        met = f"fronts meet at {show(fronts['meet_time_s'], 's')}, token {fronts['meet_token']:,.0f}"
        say(f"{fronts['tokens']:,} tokens: {met}; positions with --json or --report")
    if "report" in data:
        say(f"report: {data['report']}")
