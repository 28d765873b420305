"""How engines cut the layers of a model into pipeline stages, and which stage the others wait for."""

from __future__ import annotations

from typing import NamedTuple

from accelmodel.laws.numeric import Number, ceil, floor, least, most


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


class Pace(NamedTuple):
    """How often a step takes the time of one pass through all stages: its layers, its embedding, its head [1]."""

    layers: Number
    opening: Number
    closing: Number


def pace(layers: Number, pp: Number, sequences: Number, loads: tuple[Number, Number, Number]) -> Pace:
    """Return how a pipeline goes: as fast as one pass of a micro-batch, or as its busiest stage lets all pass.

    As many micro-batches are on their way as stages, or as there are sequences.  One of them comes back to a stage
    after a pass, or when all of them have been through the busiest stage, whichever is later.  Embedding and head are
    told once where another stage is the busiest: pessimistic by at most that.

    Parameters
    ----------
    layers : float
        Of the model [1].
    pp, sequences : float
        Stages and sequences [1].
    loads : tuple of float
        Work of all layers, of the embedding and of the head, in any one unit: it decides which stage is the busiest.

    Examples
    --------
    A head as large as four layers on the last of four stages: the others wait for it.

    >>> tuple(map(float, pace(16.0, 4.0, 8.0, (16.0, 0.0, 4.0))))
    (1.0, 1.0, 4.0)
    >>> tuple(map(float, pace(16.0, 4.0, 1.0, (16.0, 0.0, 4.0))))
    (1.0, 1.0, 1.0)
    """
    body, opening, closing = loads
    batches = ceil(sequences / ceil(sequences / pp))
    found = Pace(1.0, 1.0, 1.0)
    longest = body + opening + closing
    for stage in stages(layers, pp):
        share = batches * stage.layers / layers
        opens, closes = most(batches * stage.opens, 1.0), most(batches * stage.closes, 1.0)
        load = share * body + opens * opening + closes * closing
        busier = ((load > longest) & (pp > 1.0)) * 1.0
        found = Pace(
            *(busier * new + (1.0 - busier) * old for new, old in zip((share, opens, closes), found, strict=True))
        )
        longest = busier * load + (1.0 - busier) * longest
    return found
