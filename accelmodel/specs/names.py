"""By which names a field goes: dotted (``l2.capacity``), in one word (``l2_capacity``), and as it was called before."""

from __future__ import annotations

import re
from typing import Any

from accelmodel.errors import SpecError, brief, unknown
from accelmodel.specs.base import field_units
from accelmodel.specs.hardware import FLAT

#: kind of specification → name of an earlier version → name now
FORMER = {
    "Device": {"unhidden": "exposed"},
    "Link": {"crowding": "contention", "handshake": "rendezvous"},
    "Engine": {
        "most_sequences": "max_num_seqs",
        "chunk": "max_num_batched_tokens",
        "memory_share": "gpu_memory_utilization",
    },
}
#: kind of specification → word of an earlier version → word now
FORMER_WORDS = {"Engine": {"beside": "overlapped"}}
#: kind of specification → fields of earlier versions that nothing reads: allowed, and left out
FORMER_FIELDS = {"Device": ("core_buffer",)}
_ALIASES = {"Device": FLAT}
#: kind of specification → (what a name has that is no field's, how that is said)
_SAID = {
    "Device": (
        (
            r"pim|cxl|dimm|tier|flash|ssd|nvm|optane|attention_memory|memories|second|near_",
            "a second memory is a table [tier]: holds ('kv', 'weights' or 'experts'), capacity, bandwidth, "
            "and compute where attention is computed in it",
        ),
        (
            r"die_?to_?die|d2d|numa|socket|chiplet|interposer|upi|hbi|ultrafusion|emib",
            "what joins dies or sockets is a table [die_to_die]: bandwidth into one of them, latency, interleaved; "
            "dies says how many",
        ),
        (
            r"sram|scratchpad",
            "SRAM stands as l2.capacity and l2.bandwidth; where it is all there is, [hbm] is left out",
        ),
        (
            r"\bl3|_l3|llc|mall\b|slc\b|infinity_?cache|last_level",
            "the last cache on the chip is [l2], whatever its maker calls it: capacity and bandwidth",
        ),
        (
            r"interconnect|nvlink|pcie|fabric|ethernet",
            "what joins devices is link and scale_out of [device], files of links; what joins dies is [die_to_die]",
        ),
        (
            r"ddr|dram|^\[?memory",
            "device memory is [hbm], also where it is DDR: bandwidth and capacity; a second one is [tier]",
        ),
    ),
    "BillOfMaterials": (
        (
            r"^hbm_",
            "what a stack of memory takes and costs is a file of memories, which a device names as hbm.generation",
        ),
        (r"^link_", "what a link takes and costs is a file of phys, which a link names as phy"),
        (r"^(package|test)_", "what packaging and test cost is a file of packages, which a bill names as package"),
        (
            r"^(electricity|lifetime|utilisation)",
            "what owning a device costs is a file of sites, which a study and accelmodel cost take",
        ),
    ),
}


def canonical(spec_type: type, name: str) -> str | None:
    """Return the dotted name of a field by any of its names; None if there is no such field.

    Examples
    --------
    >>> from accelmodel.specs.hardware import Device
    >>> canonical(Device, "l2_capacity"), canonical(Device, "unhidden"), canonical(Device, "l3_capacity")
    ('l2.capacity', 'matmul.exposed', None)
    >>> canonical(Device, "matmul.unhidden"), canonical(Device, "l2.unhidden")
    ('matmul.exposed', None)
    """
    kind = spec_type.__name__
    section, dot, short = name.rpartition(".")
    if dot and short in FORMER.get(kind, {}):
        now = canonical(spec_type, short)
        return now if now is not None and now.startswith(f"{section}.") else None
    now = FORMER.get(kind, {}).get(name, name)
    now = _ALIASES.get(kind, {}).get(now, now)
    return now if now in field_units(spec_type) else None


def dotted(spec_type: type, name: str) -> str:
    """Return the dotted name of a field by any of its names; SpecError with the closest match if there is none."""
    found = canonical(spec_type, name)
    if found is None:
        raise no_field(spec_type, name)
    return found


def said(spec_type: type, name: str) -> str:
    """Return how what a name of no field means is said; empty where that is not known.

    Examples
    --------
    >>> from accelmodel.specs.hardware import Device
    >>> said(Device, "pim_capacity")[:32], said(Device, "l3_capacity")[:35], said(Device, "wheels")
    ('a second memory is a table [tier', 'the last cache on the chip is [l2],', '')
    """
    known = _SAID.get(spec_type.__name__, ())
    return next((text for pattern, text in known if re.search(pattern, name.lower())), "")


def no_field(spec_type: type, name: str, what: str = "") -> SpecError:
    """Return the error for a name that no field has; of a kind with sections it gives the closest, not all."""
    kind = spec_type.__name__
    aliases = _ALIASES.get(kind, {})
    if text := said(spec_type, name):
        return SpecError(f"unknown {what or f'field of {kind}'} {brief(name)}: {text}")
    error = unknown(what or f"field of {kind}", name, {*field_units(spec_type), *(() if "." in name else aliases)})
    if not aliases:
        return error
    return SpecError(f"{str(error).partition(' Allowed:')[0]} See accelmodel schema {kind.lower()}")


def flat(spec_type: type, name: str) -> str:
    """Return the name of one word of a field by its dotted name."""
    back = {where: word for word, where in _ALIASES.get(spec_type.__name__, {}).items()}
    return back.get(name, name)


def word(spec_type: type, value: Any) -> Any:
    """Return a word as it is written now."""
    return FORMER_WORDS.get(spec_type.__name__, {}).get(value, value) if isinstance(value, str) else value
