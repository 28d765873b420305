"""The command ``warm-up``: what it compiles is what large questions ask for."""

from __future__ import annotations

import json

from accelmodel.cli import warm_up
from accelmodel.laws import compile_cache
from accelmodel.laws.jit import Kernel
from accelmodel.laws.kernels import batching, disaggregated, step, two_front_policies, two_fronts

#: asked for by the benchmark alone
BENCHMARK = {"two_fronts.meet_many", "two_fronts.meet_traced_many"}


def test_it_compiles_every_kernel_and_says_where_they_are(run):
    modules = (batching, disaggregated, step, two_front_policies, two_fronts)
    kernels = {each.name: each for module in modules for each in vars(module).values() if isinstance(each, Kernel)}
    code, out, _ = run("warm-up", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["folder"] == str(compile_cache.folder())
    assert {name for name, each in kernels.items() if not each.is_compiled} <= BENCHMARK
    assert all(compile_cache.holds(name) for name in kernels.keys() - BENCHMARK)
    assert json.loads(run("warm-up", "--json")[1])["compiled"] == []


def test_without_a_folder_of_ours_it_says_what_to_do(refused, monkeypatch):
    monkeypatch.setattr(warm_up.compile_cache, "folder", lambda: None)
    assert "set XDG_CACHE_HOME to a folder that you own" in refused("warm-up")
