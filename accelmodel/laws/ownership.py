"""What owning a device costs: capital over its life in use, electricity, its host and network, and carbon."""

from __future__ import annotations

from accelmodel.laws.numeric import Number


def capital(device: Number, host: Number, network_share: Number) -> Number:
    """Price of a device with its part of the host and of the network [USD].

    The network is a share of the price of the whole cluster: Barroso, Hölzle and Ranganathan, The Datacenter as a
    Computer, 3rd edition, 2018, chapter 6, counts it so.

    Examples
    --------
    >>> capital(900.0, 100.0, 0.2)
    1250.0
    """
    return (device + host) / (1.0 - network_share)


def drawn_power(busy: Number, idle: Number, utilisation: Number, host: Number, pue: Number) -> Number:
    """Power that the site draws for a device, for each second in which it serves [W].

    Parameters
    ----------
    busy, idle : float or DataArray
        Power of the device while it serves, and while it waits [W].
    utilisation : float or DataArray
        Share of its life in which it serves [1].
    host : float or DataArray
        Its part of the host's power, drawn always [W].
    pue : float or DataArray
        Power of the site / that of its machines [1].

    Examples
    --------
    >>> drawn_power(400.0, 100.0, 0.5, 50.0, 1.0)
    600.0
    """
    always = 1.0 / utilisation
    return (busy + idle * (always - 1.0) + host * always) * pue


def cost_rate(price: Number, lifetime: Number, utilisation: Number, power: Number, electricity: Number) -> Number:
    """Dollars per second of useful work: depreciation over the time in use, and electricity [USD/s]."""
    return price / (lifetime * utilisation) + power * electricity


def carbon_rate(embodied: Number, lifetime: Number, utilisation: Number, power: Number, intensity: Number) -> Number:
    """Carbon per second of useful work: embodied over the time in use, and of electricity [kg/s].

    Gupta et al., ISCA 2022 (ACT), eq. 1 and 2.
    """
    return embodied / (lifetime * utilisation) + power * intensity
