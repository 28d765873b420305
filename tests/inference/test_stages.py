"""How layers are cut into pipeline stages."""

import numpy as np
import pytest
import xarray as xr

from accelmodel.inference.stages import stages


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
