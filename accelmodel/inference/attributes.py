"""What an answer says of the question behind it: names, digests, sources, what the caller changed.

All of it is text, so that any file format keeps it; what has parts is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from accelmodel.inference.policies import Technique
from accelmodel.inference.where import told
from accelmodel.specs.base import Spec, value_of
from accelmodel.specs.facts import GIVEN, weakest
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.workload import Workload

DEGREES = ("tp", "pp", "ep", "dp")
BITS = ("weight_bits", "activation_bits", "kv_bits")


def json_value(value: Any) -> Any:
    """Return a value for JSON: a number or a word as it is, an axis by its name."""
    dims = getattr(value, "dims", None)
    if dims is None:
        return value if isinstance(value, str | int | float) else str(value)
    return f"varies over {', '.join(map(str, dims))}" if dims else float(value)


def overrides(parts: dict[str, Spec]) -> str:
    """Return as JSON what the caller gave in place of what is known: part → field → value in SI."""
    changed = {
        part: {name: json_value(value_of(spec, name)) for name, fact in spec.facts.items() if fact.locator == GIVEN}
        for part, spec in parts.items()
    }
    return json.dumps({part: values for part, values in changed.items() if values})


def behind(parts: dict[str, Spec]) -> dict[str, str]:
    """Return version, digests, sources, weakest kind of fact, overrides and notes of what stands behind an answer."""
    from accelmodel import __version__

    found = [fact for spec in parts.values() for fact in spec.facts.values()]
    return {
        "accelmodel_version": __version__,
        "digests": ", ".join(f"{spec.name}:{spec.digest}" for spec in parts.values()),
        "sources": ", ".join(sorted({fact.source for fact in found})),
        "weakest_fact": weakest(fact.standing for fact in found),
        "overrides": overrides(parts),
        "notes": "; ".join(noted(parts)),
    }


def parts_of(cluster: Cluster) -> dict[str, Spec]:
    """Return the specifications of a cluster by the part they play."""
    parts: dict[str, Spec] = {"device": cluster.device, "link": cluster.link, "scale_out": cluster.scale_out}
    more = (*cluster.link.inside, *cluster.beyond)
    return {**parts, **{f"level {place}": link for place, link in enumerate(more, 1)}}


def uneven_groups(cluster: Cluster, groups: Mapping[str, Any], used: Any) -> list[str]:
    """Return notes on groups of devices that do not divide a node, or do not fill the nodes that they take.

    Parameters
    ----------
    cluster : Cluster
    groups : mapping of str to number
        Devices of a group by what it is called.
    used : number
        Devices in all.
    """
    node = float(np.min(np.asarray(cluster.link.devices)))
    several = float(np.max(np.asarray(used))) > node
    found = []
    for name, sizes in groups.items():
        for size in np.unique(np.asarray(sizes)):
            if several and 1.0 < size < node and node % size:
                found.append(
                    f"{name} {size:g} does not divide the {node:g} devices of a node: groups that lie on two nodes "
                    "are slower than told"
                )
            elif size > node and size % node:
                found.append(
                    f"{name} {size:g} does not fill its nodes of {node:g} devices: taken as spread evenly over them"
                )
    return found


def noted(parts: dict[str, Spec]) -> list[str]:
    """Return what specifications have to say of themselves: what they inherited, what looks like a typing error."""
    return [f"{spec.name}: {note}" for spec in parts.values() for note in (*_placed(spec), *spec.notes)]


def _placed(spec: Spec) -> list[str]:
    return told(spec) if isinstance(spec, Device) else []


def on_cluster(cluster: Cluster) -> dict[str, str]:
    """Return the names of a cluster's parts, and how many devices it has."""
    return {
        **{part: spec.name for part, spec in parts_of(cluster).items()},
        "devices": str(json_value(cluster.devices)),
    }


def of_technique(technique: Technique) -> dict[str, str]:
    """Return a technique's name and its parameters."""
    return {"technique": technique.name, "technique_parameters": json.dumps(dict(technique.parameters))}


def asked(work: Workload) -> dict[str, str]:
    """Return phase, sizes, degrees of parallelism and precisions of a workload."""
    values = {field.name: json_value(getattr(work, field.name)) for field in fields(work)}
    more = ("prefill_tokens",) if work.phase == "mixed" else ()
    return {
        "phase": work.phase,
        "sizes": json.dumps({name: values[name] for name in ("batch", "context", "prefix", *more)}),
        "degrees": json.dumps({name: values[name] for name in DEGREES}),
        "bits": json.dumps({name: values[name] for name in BITS}),
    }
