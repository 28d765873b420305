"""The degree that is taken where nobody named one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.errors import Infeasible
from accelmodel.inference.degree import largest_degree, smallest_degree

DECODE = {"phase": "decode", "batch": 1, "context": 2048}


@pytest.mark.parametrize(
    ("model", "devices", "degree"),
    [
        ("llama-3-8b", 8, 1),  # 16 GB on 80 GB
        ("llama-3-70b", 8, 2),  # 141 GB
        ("llama-3-70b", 1, 1),  # no other device
        ("llama-3-70b", 3, 2),
        ("deepseek-v3", 8, 8),  # 1.3 TB: the largest, which has the least to hold
        ("llama-3.1-405b", 32, 8),  # a node has eight
    ],
)
def test_the_smallest_that_fits(model, devices, degree):
    assert smallest_degree(am.load("model", model), am.cluster("h100-sxm", devices), **DECODE) == degree


def test_stages_and_experts_are_heeded():
    dense, mixture = (am.load("model", name) for name in ("llama-3-70b", "mixtral-8x7b"))
    node = am.cluster("h100-sxm")
    assert smallest_degree(dense, node, **DECODE, pp=2) == 1  # half of the layers: 71 GB
    assert smallest_degree(dense, am.cluster("l4"), **DECODE, pp=4) == 2
    assert smallest_degree(mixture, node, **DECODE, ep=4) == 4  # ep divides tp x dp
    assert smallest_degree(mixture, node, **DECODE, ep=3) == 1


@given(
    model=st.sampled_from(["llama-3-8b", "llama-3-70b", "qwen2-7b", "mixtral-8x7b"]),
    device=st.sampled_from(["h100-sxm", "l4", "t4", "ascend-910b2", "tpu-v5e"]),
    batch=st.integers(1, 64),
    context=st.integers(1, 8192),
)
def test_half_of_it_does_not_fit(model, device, batch, context):
    spec, node = am.load("model", model), am.cluster(device)
    work = {"phase": "decode", "batch": batch, "context": context}
    degree = smallest_degree(spec, node, **work)
    if degree > 1:
        with pytest.raises(Infeasible, match="does not fit"):
            am.time_step(spec, node, am.workload(**work, tp=degree // 2))


@pytest.mark.parametrize(
    ("device", "devices", "degree"), [("h100-sxm", None, 8), ("h100-sxm", 6, 4), ("mi210", None, 4)]
)
def test_the_largest_of_a_node(device, devices, degree):
    assert largest_degree(am.cluster(device, devices)) == degree
