"""What a random sample of chips says of all chips: how few can be better than the best found.

Of ``chips`` chips ``drawn`` different ones are taken, each set alike likely.  If ``better`` chips were better than the
best of them, none of these was drawn, which happens with probability C(chips - better, drawn) / C(chips, drawn).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelmodel.errors import SpecError

#: probability with which a certificate holds, unless another is asked for
CONFIDENCE = 0.99


@dataclass(frozen=True)
class Certificate:
    """What a sample proves.

    Attributes
    ----------
    chips : float
        Chips of the space; infinite where an axis has no steps.
    drawn : int
    confidence : float
        Probability with which it holds [1].
    fewer_than : float
        So many chips are better than the best found, or more, only with the rest of probability; infinite where the
        space is.
    share : float
        The same as a share of all chips [1].
    """

    chips: float
    drawn: int
    confidence: float
    fewer_than: float
    share: float

    def words(self) -> str:
        """Return it in words."""
        if self.drawn == self.chips:
            return "all chips were drawn: none is better than the best found"
        few = "no chip is" if self.fewer_than <= 1.0 else f"fewer than {100.0 * self.share:.3g} % of all chips are"
        sure = f"with {100.0 * self.confidence:.6g} % confidence"
        return f"of {self.drawn:,} chips drawn at random: {sure} {few} better than the best found"


def missed(chips: int, drawn: int, better: int) -> float:
    """Return the probability that a sample holds none of some chips [1].

    Examples
    --------
    One of two is drawn, so that the other is missed in half of all cases:

    >>> missed(2, 1, 1)
    0.5
    """
    if better > chips - drawn:
        return 0.0
    # the shorter of two equal products
    few, many = sorted((better, drawn))
    return float(np.exp(np.log1p(-many / (chips - np.arange(few, dtype=float))).sum()))


def certify(chips: float, drawn: int, confidence: float = CONFIDENCE) -> Certificate:
    """Return what a sample proves of all chips.

    Parameters
    ----------
    chips : float
        Chips of the space [1]; infinite where an axis has no steps.
    drawn : int
        Different chips that were drawn at random, those that break a limit included [1].
    confidence : float
        Probability with which it must hold [1].

    Raises
    ------
    SpecError
        If the confidence is not between 0 and 1, or none was drawn.

    Examples
    --------
    One of ten: if all nine others are better, the one is drawn with a probability of 1/10; if eight are, with 2/10.

    >>> certify(10, 1, 0.85).fewer_than
    9.0
    >>> round(certify(float("inf"), 459, 0.99).share, 4)
    0.01
    """
    if not 0.0 < confidence < 1.0:
        raise SpecError(f"confidence: {confidence:g} is not between 0 and 1")
    if not 1 <= drawn <= chips:
        raise SpecError(f"sample: {drawn} of {chips:g} chips; draw at least one, and no more than there are")
    doubt = 1.0 - confidence
    if math.isinf(chips):
        return Certificate(chips, drawn, confidence, math.inf, -math.expm1(math.log(doubt) / drawn))
    whole = int(chips)
    low, high = 0, whole - drawn + 1
    # the fewest that would hardly ever have been missed
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if missed(whole, drawn, middle) <= doubt else (middle, high)
    return Certificate(chips, drawn, confidence, float(high), high / whole)


def draw(chips: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the numbers of ``count`` different chips, ascending; each set of them is alike likely."""
    import random

    # random.sample takes spaces of any size without making a list of them
    return np.array(sorted(random.Random(seed).sample(range(chips), count)), dtype=np.int64)
