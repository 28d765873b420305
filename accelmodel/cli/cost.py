"""The command ``cost``: what a device costs, part by part.  No physics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelmodel.cli.completion import name_of
from accelmodel.cli.options import Json, LinkName, answer, hardware
from accelmodel.cli.step_options import Settings
from accelmodel.cli.terminal import print_table, say
from accelmodel.costs.parts import SITE
from accelmodel.specs.hardware import Device
from accelmodel.specs.names import canonical
from accelmodel.units import parse, show

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(add_completion=False)
_HOUR = 3600.0


@app.command("cost")
def cost_command(
    device: Annotated[
        str, typer.Argument(help="Name such as h100-sxm, or a TOML file.", autocompletion=name_of("device"))
    ],
    bill: Annotated[
        str,
        typer.Option(
            "--bill",
            help="Bill of materials, name such as gh100, or a TOML file; the device's own by default.",
            autocompletion=name_of("bill"),
        ),
    ] = "",
    link: LinkName = None,
    site: Annotated[
        str,
        typer.Option(
            "--at-site", help="Where it runs, name such as data-centre, or a TOML file.", autocompletion=name_of("site")
        ),
    ] = SITE,
    volume: Annotated[
        str | None,
        typer.Option("--volume", help="Devices that share design and masks, such as 500000; the bill's by default."),
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """What a device costs: its bill part by part with ranges, its design, and owning it."""
    from accelmodel.costs.costing import OF_CHIP, cost

    given = settings or []
    asked = hardware(device, None, link=link, settings=given)
    # its own die closes the bill; what stands on it is changed after
    stays = [each for each in given if canonical(Device, _name(each)) not in OF_CHIP and not each.startswith("link.")]
    reference = hardware(device, None, settings=stays).device if link or stays != given else None
    number = None if volume is None else parse(volume, "1", what="--volume")
    found = cost(asked.device, bill=bill, site=site, volume=number, link=asked.link, reference=reference)
    answer(cost_data(found), as_json, print_cost)


def _name(setting: str) -> str:
    return setting.partition("=")[0].strip().removeprefix("device.")


def cost_data(found: xr.Dataset) -> dict[str, Any]:
    """Return what ``costs.costing.cost`` found as JSON-ready data; None for what is not known."""
    one = {str(name): float(value) for name, value in found.data_vars.items() if not value.dims}
    parts = [
        {
            "name": str(part),
            "area_m2": float(found.part_area.sel(part=part)),
            "usd": float(found.part_price.sel(part=part)),
            "usd_low": float(found.part_price_lower.sel(part=part)),
            "usd_high": float(found.part_price_upper.sel(part=part)),
            "carbon_kg": float(found.part_carbon.sel(part=part)),
        }
        for part in found.part.values
        if float(found.part_price.sel(part=part)) or float(found.part_area.sel(part=part))
    ]
    powered, sold = one["power"] > 0.0, one["selling_price"] > 0.0
    return {
        **{name: found.attrs[name] for name in ("device", "bill", "process", "site")},
        "parts": parts,
        "total_usd": one["price"],
        "total_low_usd": one["price_lower"],
        "total_high_usd": one["price_upper"],
        "switches_usd": one["switches"],
        "area_m2": one["die_area"],
        "silicon_area_m2": one["silicon_area"],
        "yield": one["die_yield"],
        "shoreline": one["shoreline"],
        "reticle": one["reticle"],
        "volume": one["volume"],
        "design_usd": one["design"] or None,
        "design_usd_per_device": one["design_each"] or None,
        "price_kind": found.attrs["price_kind"] or None,
        "price_usd": one["selling_price"] if sold else None,
        "margin": one["margin"] if sold else None,
        "owned_at": "selling price" if sold else "bill of materials",
        "power_w": one["power"] if powered else None,
        "tco_at_bill_usd_per_hour": one["dollars_per_s_at_bill"] * _HOUR if powered else None,
        "tco_usd_per_hour": one["dollars_per_s"] * _HOUR if powered else None,
        "carbon_kg": one["carbon"],
        "carbon_kg_per_hour": one["carbon_per_s"] * _HOUR if powered else None,
        "weakest_fact": found.attrs["weakest_fact"],
        "notes": [note for note in found.attrs["notes"].split("; ") if note],
    }


def print_cost(data: dict[str, Any]) -> None:
    """Print what a device costs."""
    rows = [
        [
            part["name"],
            show(part["area_m2"], "m2") if part["area_m2"] else "-",
            f"{part['usd']:,.0f}",
            f"{part['usd_low']:,.0f} to {part['usd_high']:,.0f}",
            f"{part['carbon_kg']:.1f}" if part["carbon_kg"] else "-",
        ]
        for part in data["parts"]
    ]
    whole = f"{data['total_low_usd']:,.0f} to {data['total_high_usd']:,.0f}"
    area = show(data["silicon_area_m2"], "m2")
    rows.append(["total", area, f"{data['total_usd']:,.0f}", whole, f"{data['carbon_kg']:.1f}"])
    title = f"Bill of {data['device']} ({data['bill']}, {data['process']})"
    print_table(title, ["part", "area", "USD", "range", "kg CO2"], rows, 1)
    say(
        f"{data['yield']:.0%} of its dies can be sold; its PHYs take {data['shoreline']:.0%} of their edge, a die "
        f"{data['reticle']:.0%} of the reticle"
    )
    if data["design_usd"] is not None:
        say(
            f"design and masks {data['design_usd'] / 1e6:,.0f} million USD: {data['design_usd_per_device']:,.0f} USD "
            f"for each of {data['volume']:,.0f}"
        )
    if data["price_usd"] is not None:
        say(f"it sells at {data['price_usd']:,.0f} USD, of which {data['margin']:.0%} is design, board and margin")
    if data["tco_usd_per_hour"] is not None:
        say(
            f"owning it at its {data['owned_at']} costs {data['tco_usd_per_hour']:.2f} USD and "
            f"{data['carbon_kg_per_hour']:.3f} kg of carbon for each hour in which it serves ({data['site']})"
        )
    for note in data["notes"]:
        say(f"note: {note}")
