"""Designs of one block whose devices fill one node, or several."""

import numpy as np
import pytest

from accelmodel.inference.policies import policy
from accelmodel.inference.run import run_kernel
from accelmodel.inference.step import prepare
from accelmodel.laws.types import DETAIL, GIVEN
from accelmodel.specs.given import cluster, workload
from accelmodel.specs.load import load

NODES = (4.0, 8.0, 16.0)
LINK_BYTES = DETAIL.index("link_bytes")


@pytest.mark.parametrize("technique", ["none", "fused"])
def test_designs_of_a_block_do_not_see_each_others_nodes(technique):
    work = workload(phase="decode", batch=8, context=2048, tp=8)
    asked = prepare(load("model", "llama-3-8b"), cluster(load("device", "h100-sxm"), 8), work)
    designs = np.repeat(asked.machines.base()[:, None, None], len(NODES), axis=2)
    designs[GIVEN.index("node"), 0] = NODES
    rule = policy(technique).numbers
    together, rows = run_kernel(asked.operators, designs, rule, detail=True)
    for place in range(len(NODES)):
        alone, row = run_kernel(asked.operators, designs[:, :, place : place + 1], rule, detail=True)
        np.testing.assert_allclose(together[:, :, place : place + 1], alone, rtol=1e-12)
        np.testing.assert_allclose(rows[LINK_BYTES, :, :, place : place + 1], row[LINK_BYTES], rtol=1e-12)
    # half of the ranks on another node take longer; a larger node than they fill changes nothing
    assert together[0, 0, 0] > together[0, 0, 1]
    assert together[0, 0, 1] == pytest.approx(together[0, 0, 2], rel=1e-12)
