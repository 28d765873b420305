"""Hypothesis without deadlines (compilation takes seconds), and one run of the step kernel shared by all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

# pytest's importlib mode leaves sys.path alone, so that helpers beside the tests must be told
sys.path.insert(0, str(Path(__file__).parent))

hypothesis.settings.register_profile(
    "accelmodel",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# other inputs each night: pytest --hypothesis-profile=nightly, or HYPOTHESIS_PROFILE=nightly
hypothesis.settings.register_profile(
    "nightly", parent=hypothesis.settings.get_profile("accelmodel"), derandomize=False, max_examples=10_000
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "accelmodel"))


def pytest_collection_modifyitems(config, items):
    """Tests marked ``nightly`` run with ``--hypothesis-profile=nightly`` alone."""
    if config.getoption("--hypothesis-profile", default=None) == "nightly":
        return
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="nightly: --hypothesis-profile=nightly runs it"))


@pytest.fixture(scope="session")
def warm():
    """Compile the step kernel once, with and without detail (the same signature), and return ``run_kernel``."""
    from builders import machines_of, make_machine, make_operator, table_of

    from accelmodel.inference.run import run_kernel
    from accelmodel.inference.step import NONE
    from accelmodel.laws.jit import running

    with running("compiled"):
        run_kernel(table_of([make_operator()]), machines_of(make_machine()), NONE, detail=True)
    return run_kernel
