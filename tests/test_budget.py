"""How many constants are fitted: few enough that each has a meaning; those that are shared are the same everywhere."""

from __future__ import annotations

import pytest

from accelmodel.calibration import fit
from accelmodel.specs.find import available
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load

#: most constants of an architecture for matmuls, attention and memory-bound operators
ARCHITECTURE = 10
#: most of a link, a library, an engine
OTHERS = 4
#: of kernels of experts, as of a library of their own
EXPERTS = ("matmul.expert_start", "matmul.expert_tile_time", "matmul.expert_share")
#: of matmuls over heads, the same on all GPUs of a maker
OF_MAKER = ("matmul.group_fill",)
#: of kernels that few models have: sparse attention and linear attention
RARE = ("attention.gather_time", "attention.scan_time")
#: what collectives' libraries take on any link: kernels of engines, and NCCL's
OF_COLLECTIVES = (("direct_start", "direct_share", "barrier"), ("ramp", "own_copy", "rendezvous"))
#: of low-latency kernels of experts' exchanges
OF_EXCHANGES = ("exchange_start",)


def calibrated(kind, name):
    return [field for field, fact in load(kind, name).facts.items() if fact.kind == "calibrated"]


@pytest.mark.parametrize("name", available("device"))
def test_constants_of_an_architecture(name):
    fields = [field for field in calibrated("device", name) if not field.startswith("energy.")]
    assert len([field for field in fields if field in EXPERTS]) <= OTHERS
    assert len([field for field in fields if field in RARE]) <= OTHERS
    assert len([field for field in fields if field not in EXPERTS + RARE + OF_MAKER]) <= ARCHITECTURE


def test_constants_of_a_maker_are_the_same_on_all_its_chips():
    for field in OF_MAKER:
        chips = [load("device", name) for name in available("device") if field in calibrated("device", name)]
        assert len({chip.facts[field].value for chip in chips}) == 1
        assert {chip.vendor for chip in chips} == {"NVIDIA"}


@pytest.mark.parametrize("name", available("link"))
def test_constants_of_a_link(name):
    shared = {*OF_EXCHANGES, *(field for group in OF_COLLECTIVES for field in group)}
    assert len([field for field in calibrated("link", name) if field not in shared]) <= OTHERS


def test_constants_of_libraries_of_collectives_are_the_same_on_all_links():
    for group in OF_COLLECTIVES:
        assert len(group) <= OTHERS
        for field in group:
            links = [load("link", name) for name in available("link") if field in calibrated("link", name)]
            assert len({link.facts[field].value for link in links}) == 1, field


@pytest.mark.parametrize("name", available("library"))
def test_constants_of_a_library(name):
    assert len(calibrated("library", name)) <= OTHERS


@pytest.mark.parametrize("name", available("engine"))
def test_constants_of_an_engine(name):
    assert len(calibrated("engine", name)) <= OTHERS


def test_what_is_fitted_to_kernels_of_a_chip():
    """Launch 1, matmuls 4, attention 4; of a link 4, where a bus has a constant that a switch has not."""
    counts = {kind: len(fields) for kind, fields in fit.CONSTANTS.items()}
    assert counts == {"quantise": 1, "matmul": 4, "decode attention": 4, "all-reduce": 5}


@pytest.mark.parametrize("name", ["a100-sxm-80gb", "b200-sxm", "h100-sxm", "h200-sxm", "l40s"])
def test_no_constant_of_a_chip_ended_on_its_bound(name):
    chip = cluster(load("device", name))
    for fields in fit.CONSTANTS.values():
        for field, (low, high) in fields.items():
            if not field.startswith("link."):
                assert 1.02 * low < fit.constant(chip, field) < high / 1.02, field
