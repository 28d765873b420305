"""Options of the commands about steps: the cluster and its fields, precisions, techniques."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from accelmodel.cli.completion import name_of, one_of
from accelmodel.errors import SpecError, unknown
from accelmodel.inference.policies import Technique, policy
from accelmodel.laws.exchange import EXCHANGES
from accelmodel.measured.routing import busiest
from accelmodel.specs.base import Spec
from accelmodel.specs.hardware import Cluster
from accelmodel.specs.language_model import LanguageModel, perceptrons
from accelmodel.specs.layer_kinds import Experts

AnyModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Name such as llama-3-70b, a TOML file, or a Hugging Face config.json; by default that, or "
        "llama-3-8b where it does not fit.",
        autocompletion=name_of("model"),
    ),
]
Devices = Annotated[
    int | None, typer.Option("--devices", min=1, help="Devices in the cluster, such as 8; one node by default.")
]
L2 = Annotated[str | None, typer.Option("--l2", help="L2 capacity, such as 104MB.")]
HbmBandwidth = Annotated[str | None, typer.Option("--hbm-bandwidth", help="Such as 3.35TB/s.")]
HbmCapacity = Annotated[str | None, typer.Option("--hbm-capacity", help="Such as 80GB.")]
MemoryShare = Annotated[
    float | None,
    typer.Option(
        "--memory-share",
        help="Share of the memory that an engine takes, such as 0.9; all that driver and libraries leave by default.",
    ),
]
LinkBandwidth = Annotated[
    str | None, typer.Option("--link-bandwidth", help="One way, all links of a device, such as 450GB/s.")
]
L2Bandwidth = Annotated[str | None, typer.Option("--l2-bandwidth", help="Such as 7TB/s.")]
Cores = Annotated[str | None, typer.Option("--cores", help="Such as 132; the rates scale with them.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="FIELD=VALUE of the device, link.… or scale_out.…, such as link.start_up=40us; repeatable."
    ),
]
Hybrid = Annotated[
    str | None,
    typer.Option(
        "--hybrid",
        help="Correct the laws by installed tables of the device: TensorRT-LLM, vLLM or SGLang.",
        autocompletion=one_of("TensorRT-LLM", "vLLM", "SGLang"),
    ),
]
Library = Annotated[
    str | None,
    typer.Option(
        "--library", help="A framework's own 8 or 4 bit matmuls, such as vllm-8bit.", autocompletion=name_of("library")
    ),
]
PrefillTokens = Annotated[
    int,
    typer.Option(
        "--prefill-tokens", min=0, help="Tokens of a prompt in a mixed step, such as 512; --prefix of it are there."
    ),
]
Speculative = Annotated[
    int | None, typer.Option("--speculative", min=0, help="Tokens drafted for each sequence and verified, such as 3.")
]
Acceptance = Annotated[
    float | None,
    typer.Option(
        "--acceptance", min=0.0, max=1.0, help="Share of drafted tokens taken where all before were, such as 0.8."
    ),
]
DraftName = Annotated[
    str,
    typer.Option(
        "--draft",
        help="mtp, eagle, n-gram, or a model such as llama-3-8b; the model's own mtp, else eagle, by default.",
        autocompletion=one_of("mtp", "eagle", "n-gram"),
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", help="Share of usable L2 that prefetches may fill, such as 0.8; 1 by default."),
]
Rule = Annotated[
    str | None,
    typer.Option(
        "--rule",
        help="Admission: partial, paper or best-fit; partial by default.",
        autocompletion=one_of("partial", "paper", "best-fit"),
    ),
]


def speculation(speculative: int | None, acceptance: float | None, draft: str) -> dict[str, Any]:
    """Return how a step speculates; SpecError where a part of that is missing, or is given for nothing."""
    if speculative and acceptance is None:
        raise SpecError("--speculative needs --acceptance, such as 0.8: what share of drafted tokens is taken")
    if speculative is None and (draft or acceptance is not None):
        raise SpecError("--acceptance and --draft need --speculative, such as 3: how many tokens are drafted")
    return {"speculative": speculative or 0, "acceptance": acceptance or 0.0, "draft": draft}


RedundantExperts = Annotated[
    int, typer.Option("--redundant-experts", min=0, help="Copies of experts beside them, over all ranks, such as 32.")
]
Routing = Annotated[
    str,
    typer.Option(
        "--routing",
        help="How tokens choose experts: uniform, random, power-law-1.01 or power-law-1.2, as benchmarks draw them; "
        "--imbalance says another load.",
        autocompletion=one_of("uniform", "random", "power-law-1.01", "power-law-1.2"),
    ),
]
Imbalance = Annotated[
    float | None,
    typer.Option("--imbalance", min=1.0, help="Tokens of the busiest rank of experts over the mean, such as 1.2."),
]
ExchangeKernels = Annotated[
    str | None,
    typer.Option(
        "--exchange",
        help="Kernels that send tokens to experts: low-latency, normal or network, which is of low latency without "
        "links in a node; by the phase if left out.",
        autocompletion=one_of(*EXCHANGES),
    ),
]
TwoBatch = Annotated[
    bool, typer.Option("--two-batch-overlap", help="Halves of the batch take turns: one is sent, the other computed.")
]


#: how tokens choose experts → imbalance of a workload, or exponent of the power law that it is drawn from
_ROUTINGS = {"uniform": 1.0, "random": 0.0}
_EXPONENTS = {"power-law-1.01": 1.01, "power-law-1.2": 1.2}
_MOST_DRAWN = 10**12


def of_experts(redundant: int, exchange: str | None, two_batch: bool) -> dict[str, float]:
    """Return the fields of a workload that say how experts are spread and tokens sent.

    Raises
    ------
    SpecError
        If the exchange is unknown.
    """
    if exchange is not None and exchange not in EXCHANGES:
        raise unknown("exchange", exchange, EXCHANGES)
    kernels = 0.0 if exchange is None else 1.0 + list(EXCHANGES).index(exchange)
    return {"redundant_experts": float(redundant), "exchange": kernels, "two_batch": float(two_batch)}


def load_of_experts(
    routing: str, imbalance: float | None, model: LanguageModel, work: Mapping[str, Any]
) -> dict[str, float]:
    """Return the imbalance of experts that a routing, or a number, asks for.

    Raises
    ------
    SpecError
        If the routing is unknown, given beside a number, or drawn for ranks that do not divide the experts.
    """
    if routing not in (*_ROUTINGS, *_EXPONENTS):
        raise unknown("routing", routing, (*_ROUTINGS, *_EXPONENTS))
    if imbalance is not None and routing != "uniform":
        raise SpecError(f"--imbalance and --routing {routing} both say how busy the busiest rank is; leave one out")
    if imbalance is not None and imbalance > 1.0 and work["ep"] == 1:
        raise SpecError("--imbalance needs --ep above 1: one rank has all experts; give --ep, or leave it out")
    if work["exchange"] and not (work["ep"] > 1 and work["dp"] > 1):
        raise SpecError(
            "--exchange needs --ep and --dp above 1: each rank has all tokens, and none are sent; give both, or leave "
            "it out"
        )
    if routing in _ROUTINGS:
        return {"imbalance": _ROUTINGS[routing] if imbalance is None else imbalance}
    kind = next((each for each in perceptrons(model) if isinstance(each, Experts)), None)
    if kind is None or work["ep"] == 1:
        return {"imbalance": 1.0}
    tokens = _routed(work)
    if not 0 < tokens <= _MOST_DRAWN:
        raise SpecError(
            f"--routing {routing} is drawn for 1 to {_MOST_DRAWN:,} tokens, not {tokens:,}; give --imbalance"
        )
    experts = int(kind.experts)
    used = int(kind.used)
    ranks = int(work["ep"])
    if experts % ranks:
        raise SpecError(f"--routing {routing} is drawn for ranks that divide the {experts} experts; give --imbalance")
    _, copies = busiest(tokens, experts, used, ranks, _EXPONENTS[routing])
    return {"imbalance": max(copies * ranks / (tokens * used), 1.0)}


def _routed(work: Mapping[str, Any]) -> int:
    """Return the tokens that go to experts together, those of one micro-batch of the pipeline [token]."""
    new = int(work["context"] - work["prefix"] if work["phase"] == "prefill" else 1 + work["speculative"])
    return int(math.ceil(work["batch"] / work["pp"]) * new + math.ceil(work["prefill_tokens"] / work["pp"]))


#: fields of the device and its link that have an option of their own
SHORTCUTS = ("l2_capacity", "hbm_bandwidth", "hbm_capacity", "l2_bandwidth", "link_bandwidth", "cores")


def technique_of(name: str, threshold: float | None, rule: str | None) -> Technique:
    """Return a technique with the parameters that were given; SpecError where it takes none of that name."""
    given: dict[str, float | str | None] = {"threshold": threshold, "rule": rule}
    return policy(name, **{key: value for key, value in given.items() if value is not None})


def shown(device: str, cluster: Cluster) -> dict[str, Spec]:
    """Return the specifications of a cluster by the names under which ``show`` tells of them."""
    links = {spec.name: spec for spec in cluster.levels}
    return {device: cluster.device, **links}
