"""How engines cut the layers of a model into pipeline stages."""

from __future__ import annotations

from typing import NamedTuple

from accelmodel.laws.numeric import Number, floor, least, most


class Stage(NamedTuple):
    """Consecutive layers that a stage has, and what of the model stands beside them there, 1 or 0 [1]."""

    start: Number  #: layers before it
    layers: Number
    opens: Number  #: whether it has the embedding, and what else works on inputs
    closes: Number  #: whether it has the head

    def of_first(self, layers: Number) -> Number:
        """Return how many of the first ``layers`` of the model it has [1]."""
        return least(most(layers - self.start, 0.0), self.layers)


def stages(layers: Number, pp: Number) -> tuple[Stage, Stage, Stage]:
    """Return the first stage of a pipeline, the last one before the end, and the end.

    As vLLM cuts them (``get_pp_indices``): a remainder goes one by one to the stages from the last but one on towards
    the front, so that the end, which has the head, gets none of it and the first stage only what is left.

    Parameters
    ----------
    layers : float
        Of the model [1].
    pp : float
        Stages [1]; with one or two of them some of the three are the same stage.

    Examples
    --------
    >>> [float(stage.layers) for stage in stages(62.0, 4.0)], [float(stage.layers) for stage in stages(61.0, 2.0)]
    ([15.0, 16.0, 15.0], [31.0, 31.0, 30.0])
    """
    even = floor(layers / pp)
    rest = layers - even * pp
    alone = (pp <= 1.0) * 1.0
    first = even + (rest > 0.0) * (rest >= pp - 1.0)
    middle = even + (rest > 0.0)
    return (
        Stage(0.0, first, 1.0, alone),
        Stage(most(layers - even - middle, 0.0), middle, (pp <= 2.0) * 1.0, alone),
        Stage(layers - even, even, alone, 1.0),
    )
