"""Energy of a token and power of a device as others measured them, by the steady step of a server with its prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelmodel.inference.step import time_step
from accelmodel.specs.given import cluster, workload

if TYPE_CHECKING:
    import xarray as xr

#: tokens of a prompt and of an answer in conversations of LMArena, mean, by model
PROMPT = 634.0
ANSWERS = {"llama-3.1-8b": 396.0, "llama-3.1-70b": 352.0}


#: whose host adds its work to each step; none of its times was fitted to these servers
ENGINE = "in-flight"
#: tokens of a prompt and of an answer in chats of ShareGPT, about
CHAT = (220.0, 200.0)


def _steady(
    device: str, devices: str, batch: str, model: str, lengths: tuple[float, float], **bits: float
) -> xr.Dataset:
    """Return a step that has the tokens of prompts which its share of answers brings along, sequences half-way."""
    prompt, answer = lengths
    work = workload(
        phase="mixed",
        batch=float(batch),
        context=round(prompt + answer / 2.0),
        prefill_tokens=round(float(batch) * prompt / answer),
        tp=int(devices),
        **bits,
    )
    return time_step(model, cluster(device, int(devices)), work, engine=ENGINE)


def joules_per_token(name: str) -> float:
    """Return joules of an output token, its share of the prompts included [J/token].

    What devices draw while they wait for the engine's host is in it, what the host draws is not.

    Parameters
    ----------
    name : str
        ``joules_per_token.DEVICE.DEVICES.BATCH.MODEL``.
    """
    _, device, devices, batch, model = name.split(".", 4)
    return float(_steady(device, devices, batch, model, (PROMPT, ANSWERS[model])).joules_per_token)


def mean_power(name: str) -> float:
    """Return the mean power of a device that serves chats in fp8 [W].

    Parameters
    ----------
    name : str
        ``mean_power.DEVICE.DEVICES.BATCH.MODEL``.
    """
    _, device, devices, batch, model = name.split(".", 4)
    return float(_steady(device, devices, batch, model, CHAT, weight_bits=8.0, activation_bits=8.0).power)
