"""How layers are cut into pipeline stages."""

import numpy as np
import pytest
import xarray as xr

from accelmodel.inference.stages import pace, stages


def engine_cut(layers, pp):
    """Layers of each stage as vLLM's get_pp_indices deals them out, one by one."""
    found = [layers // pp] * pp
    for i in range(layers % pp):
        found[-2 - i] += 1
    return found


@pytest.mark.parametrize("layers", [1, 2, 28, 61, 62, 80, 94])
def test_layers_are_dealt_out_as_by_the_engine(layers):
    for pp in range(1, layers + 1):
        cut = engine_cut(layers, pp)
        first, middle, last = stages(float(layers), float(pp))
        assert (first.layers, last.layers) == (cut[0], cut[-1])
        assert last.start == layers - cut[-1]
        if pp > 1:
            assert (middle.layers, middle.start) == (cut[-2], sum(cut[:-2]))
            assert max(cut) in (first.layers, middle.layers, last.layers)
        assert (first.opens, last.closes) == (1.0, 1.0)
        assert (first.closes, last.opens, middle.opens) == (pp == 1, pp == 1, pp <= 2)


def test_of_the_first_layers_a_stage_has_those_that_it_starts_with():
    first, middle, last = stages(61.0, 4.0)  # 15, 15, 16, 15 layers
    assert [stage.of_first(3.0) for stage in (first, middle, last)] == [3, 0, 0]
    assert [stage.of_first(47.0) for stage in (first, middle, last)] == [15, 16, 1]


def test_degrees_may_be_an_axis():
    pp = xr.DataArray([1.0, 2.0, 3.0], dims="pp")
    first, _, last = stages(10.0, pp)
    assert np.array_equal(first.layers, [10, 5, 3])
    assert np.array_equal(last.opens, [1, 0, 0])


def period(times, batches, rounds=40):
    """How long a micro-batch is on its way from one token to the next, by running them through stages that each wait.

    A stage takes what came first; a micro-batch enters again when its token is out.
    """
    free = [0.0] * len(times)
    done = [0.0] * batches
    ends = []
    for _ in range(rounds):
        for batch in range(batches):
            now = done[batch]
            for stage, time in enumerate(times):
                now = max(now, free[stage]) + time
                free[stage] = now
            done[batch] = now
        ends.append(done[0])
    return (ends[-1] - ends[rounds // 2]) / (rounds - 1 - rounds // 2)


@pytest.mark.parametrize("layers", [4, 7, 28, 61])
@pytest.mark.parametrize("pp", [1, 2, 3, 4])
@pytest.mark.parametrize("sequences", [1, 2, 3, 4, 9])
@pytest.mark.parametrize(("opening", "closing"), [(0.0, 0.0), (0.0, 2.5), (3.0, 0.5), (0.0, 0.4)])
def test_the_pace_is_that_of_stages_that_wait_for_each_other(layers, pp, sequences, opening, closing):
    times = [float(each) for each in engine_cut(layers, pp)]
    times[0] += opening
    times[-1] += closing
    size = -(-sequences // pp)
    batches = -(-sequences // size)
    found = pace(float(layers), float(pp), float(sequences), (float(layers), opening, closing))
    told = found.layers * layers + found.opening * opening + found.closing * closing
    true = period(times, batches)
    assert true <= told * (1 + 1e-9)
    assert told <= true + opening + closing + 1e-9  # told once where another stage is the busiest
    if max(times) == times[-1] and not opening:
        assert told == pytest.approx(true, rel=1e-9)
