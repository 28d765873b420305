"""Energy of a token as the ML.ENERGY leaderboard measured it, by the steady step of a server that mixes prompts in."""

from __future__ import annotations

from accelmodel.inference.step import time_step
from accelmodel.specs.given import cluster, workload

#: tokens of a prompt and of an answer in conversations of LMArena, mean, by model
PROMPT = 634.0
ANSWERS = {"llama-3.1-8b": 396.0, "llama-3.1-70b": 352.0}


def quantity(name: str) -> float:
    """Return joules of an output token, its share of the prompts included [J/token].

    Parameters
    ----------
    name : str
        ``joules_per_token.DEVICE.DEVICES.BATCH.MODEL``.

    Notes
    -----
    A step has the tokens of prompts that its share of answers brings along, and sequences are half-way through theirs.
    The host is left out, and so is what devices draw while they wait for it.
    """
    _, device, devices, batch, model = name.split(".", 4)
    sequences, answer = float(batch), ANSWERS[model]
    work = workload(
        phase="mixed",
        batch=sequences,
        context=round(PROMPT + answer / 2.0),
        prefill_tokens=round(sequences * PROMPT / answer),
        tp=int(devices),
    )
    return float(time_step(model, cluster(device, int(devices)), work).joules_per_token)
