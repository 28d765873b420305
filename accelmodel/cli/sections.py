"""The help of commands with many options: they stand in sections, by what they say."""

from __future__ import annotations

from typing import Any

import typer

#: heading → options by the names of their parameters, in order
SECTIONS: dict[str, tuple[str, ...]] = {
    "What runs where": ("model", "models", "device", "devices", "link", "scale_out", "within"),
    "What is asked": (
        "phase", "workload", "input_tokens", "output_tokens", "batch", "rate", "requests", "context", "prefix",
        "prefill_tokens",
    ),
    "Service level": (
        "slo_tps", "slo_tps_output", "slo_ttft", "slo_tpot", "slo_latency", "deadline", "percentile",
    ),
    "Offers": ("region", "price_kind", "prices", "instance", "only", "max_price", "most_instances"),
    "How it is served": ("engine", "offload", "time_model", "memory_rule", "safety_factor"),
    "Drafts": ("speculative", "acceptance", "draft"),
    "Parallelism and experts": (
        "tp", "pp", "ep", "dp", "redundant_experts", "routing", "imbalance", "exchange", "two_batch_overlap",
        "by", "launch",
    ),
    "Precision": ("weight_bits", "activation_bits", "kv_bits"),
    "Images and sound": ("images", "image_size", "audio_seconds"),
    "Beside the operators": ("technique", "threshold", "rule", "hybrid", "library"),
    "Another device": (
        "l2", "hbm_bandwidth", "hbm_capacity", "memory_share", "l2_bandwidth", "link_bandwidth", "cores", "settings",
    ),
}  # fmt: skip
#: heading of all others
OTHERS = "Answer"


class Grouped(typer.core.TyperCommand):
    """A command whose help tells its options in sections."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options of each section that the command has some of."""
        records = {str(each.name): each.get_help_record(ctx) for each in self.get_params(ctx)}
        left = {name: record for name, record in records.items() if record is not None}
        for heading, members in SECTIONS.items():
            found = [left.pop(name) for name in members if name in left]
            if found:
                with formatter.section(heading):
                    formatter.write_dl(found)
        with formatter.section(OTHERS):
            formatter.write_dl(list(left.values()))
