"""What the shell offers for the value of an option: names of specifications, and words of closed lists."""

from __future__ import annotations

from collections.abc import Callable

from accelmodel.specs.find import available

Offer = Callable[[str], list[str]]


def one_of(*words: str) -> Offer:
    """Return what offers the words that begin as typed.

    Examples
    --------
    >>> one_of("decode", "prefill")("p")
    ['prefill']
    """

    def offer(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offer


def name_of(*kinds: str) -> Offer:
    """Return what offers the shipped names of some kinds of specification.

    Examples
    --------
    >>> name_of("device")("h100")
    ['h100-pcie', 'h100-sxm']
    """

    def offer(incomplete: str) -> list[str]:
        return [name for kind in kinds for name in available(kind) if name.startswith(incomplete)]

    return offer


def several(offer: Offer) -> Offer:
    """Return what offers the last of names that commas separate.

    Examples
    --------
    >>> several(one_of("a100", "h100"))("a100,h")
    ['a100,h100']
    """

    def last(incomplete: str) -> list[str]:
        before, comma, typed = incomplete.rpartition(",")
        return [f"{before}{comma}{word}" for word in offer(typed)]

    return last
