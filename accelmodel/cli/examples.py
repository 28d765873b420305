"""Examples of each command: the last lines of its help, and what a command that lacks something shows."""

from __future__ import annotations

#: command → lines for a shell that answer as they stand; the first is shown where something is missing
EXAMPLES: dict[str, tuple[str, ...]] = {
    "list": ("accelmodel list devices",),
    "show": ("accelmodel show h100-sxm",),
    "step": (
        "accelmodel step --device h100-sxm --model llama-3-70b --batch 16 --context 8192",
        "accelmodel step --device h200-sxm --model deepseek-v3 --tp 8 --speculative 1 --acceptance 0.8",
        "accelmodel step --device h100-sxm --model llama-3-8b --phase mixed --batch 32 --prefill-tokens 512",
        "accelmodel step --device h200-sxm --model deepseek-v3 --dp 8 --ep 8 --batch 256 --routing random",
        "accelmodel step --cluster gb200-nvl72 --model deepseek-v3 --dp 64 --ep 64 --batch 4096 --two-batch-overlap",
        "accelmodel step --device ascend-910b2 --tp 8 --technique preserve --l2 104MB --set link.start_up=40us",
    ),
    "preserve": ("accelmodel preserve --device ascend-910b2 --models llama-3-8b,llama-3-70b --tp 4,8 --batch 1:4",),
    "cake": (
        "accelmodel cake --device a100-sxm-80gb --model longalpaca-13b --tokens 16384 --bandwidth 7Gibps,32Gibps",
    ),
    "instances": (
        "accelmodel instances --model opt-2.7b --input 128 --output 512 --batch 32 --slo-tps 400",
        "accelmodel instances --model llama-3.1-8b --rate 2 --slo-tpot 50ms --instance g6e.xlarge --only",
        "accelmodel instances --model llama-3.1-8b --batch 8 --speculative 3 --acceptance 0.7",
    ),
    "fleet": (
        r"printf 'input,output,rate\n128,128,4\n2048,256,1\n' > mix.csv; "
        "accelmodel fleet --workload mix.csv --slo-tpot 60ms",
    ),
    "explore": (
        "accelmodel explore",
        "accelmodel explore --study preserve-l2 --trials 100 --output report.html",
        "accelmodel explore --sampler nsga2 --trials 256 --workers 2 --storage sqlite:///chips.db",
    ),
    "dashboard": ("accelmodel dashboard preserve-l2", "accelmodel dashboard sqlite:///chips.db --port 8080 --no-open"),
    "cost": (
        "accelmodel cost h100-sxm",
        "accelmodel cost b200-sxm --volume 1000000 --set hbm.capacity=288GB",
    ),
    "matmul": ("accelmodel matmul --device h100-sxm --m 1,16,4096 --n 8192 --k 8192",),
    "attention": ("accelmodel attention --device h100-sxm --batch 32 --heads 64 --kv-heads 8 --context 1024:8192",),
    "collective": ("accelmodel collective --device h100-sxm --devices 8 --kind all-reduce --bytes 64KB:1MB",),
    "validate": ("accelmodel validate --claims", "accelmodel validate --report accuracy.html"),
    "calibrate": (
        "accelmodel calibrate h100-sxm --output h100-sxm.calibrated.toml",
        "accelmodel calibrate my-chip.toml --measurements rows.csv",
    ),
    "check": ("accelmodel check h100-sxm llama-3-8b --examples 5",),
    "benchmark": ("accelmodel benchmark",),
    "new": ("accelmodel new device my-chip --like h100-sxm",),
    "schema": ("accelmodel schema device",),
    "sweep": ("accelmodel sweep l2-that-pays --output l2.nc",),
    "warm-up": ("accelmodel warm-up",),
    "docs": ("accelmodel docs --output site --no-open",),
}


def epilog(command: str) -> str:
    """Return the examples of a command as the end of its help."""
    lines = EXAMPLES.get(command, ())
    # the form feed keeps the lines below it as they are
    return "\n".join(["\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])


def needs(command: str, what: str) -> str:
    """Return one line that says what a command lacks, and an example that has it.

    Examples
    --------
    >>> needs("show", "the name of a specification")
    'show needs the name of a specification; for example: accelmodel show h100-sxm'
    """
    return f"{command} needs {what}; for example: {EXAMPLES[command][0]}"
