"""InferSave's stages by hand numbers, offloading policies by their limits, ranking by its rules."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.cloud import infersave, offload
from accelmodel.cloud.choice import precisions, ranking
from accelmodel.cloud.ctcf import apply, fit, mean_error
from accelmodel.cloud.hosting import Setup, host
from accelmodel.cloud.infersave import Ctcf, Server, Shape, Task
from accelmodel.cloud.offers import candidates
from accelmodel.cloud.offload import POLICIES, Need, Offer
from accelmodel.cloud.ranking import Inputs, Slo, misses, rank
from accelmodel.errors import Infeasible, SpecError
from accelmodel.serving import step_times
from accelmodel.specs import prices
from accelmodel.specs.load import available, load

#: OPT-2.7B as the paper sees it, and the four instances of its Table IV (T4, L4, A10G, L40S)
OPT = Shape(32.0, 2560.0, 10240.0, 32.0, 2.652e9, 2.0)
TABLE_IV = Server(
    np.array([16e9, 24e9, 24e9, 48e9]), np.array([8.24e12, 30.29e12, 31.52e12, 91.61e12]),
    np.array([6e9, 12e9, 12e9, 12e9]), np.array([6e9, 12e9, 12e9, 12e9]),
)  # fmt: skip
ONLINE, OFFLINE = Task(32.0, 128.0, 512.0), Task(32.0, 1024.0, 128.0)
FLEXGEN = load("engine", "flexgen")
MODEL = load("model", "opt-2.7b")


def test_kv_cache_and_footprint_by_hand():
    """2 x 32 x 1152 x 2560 x 2 x 32 = 12.08 GB, as the released code computes it."""
    assert infersave.kv_cache(OPT, OFFLINE) == 2 * 32 * 1152 * 2560 * 2 * 32
    need = infersave.algorithm_1(OPT, OFFLINE, 16e9)
    assert need.fixed == 2.652e9 * 2 + 2 * 1152 * 32 * 2560
    assert need.available == 16e9 - need.fixed


def test_printed_ratios_need_the_released_codes_rule():
    """Table VI prints 100, 60, 60 and 0 %; Algorithm 1 gives 13 % on 16 GB and nothing elsewhere."""
    code = infersave.cautious_ratio(infersave.released_code(OPT, OFFLINE, TABLE_IV.memory))
    assert code.tolist() == [1.0, 0.6, 0.6, 0.0]
    paper = infersave.offload_ratio(infersave.algorithm_1(OPT, OFFLINE, TABLE_IV.memory))
    assert paper == pytest.approx([0.1302, 0.0, 0.0, 0.0], abs=1e-4)


def test_a_layer_that_does_not_fit_is_infeasible():
    for rule, _ in infersave.MEMORY_RULES.values():
        need = rule(OPT, OFFLINE, np.array([5.0e9, 16e9]))
        assert infersave.feasible(need, OPT.layers).tolist() == [False, True]


def test_prefill_is_the_longer_of_computation_and_store():
    h, f, batch, tokens = 2560.0, 10240.0, 32.0, 1024.0
    flops = batch * (8 * tokens * h * h + 4 * tokens * h * f) + 4 * batch * tokens**2 * h
    slow = infersave.prefill_layer(OPT, OFFLINE, Server(0.0, 8.24e12, 1e15, 1e15), 1.0)
    assert slow == pytest.approx(flops / 8.24e12, rel=1e-12)
    stored = 2 * (tokens + 1) * h * 2 * batch / 6e9
    assert infersave.prefill_layer(OPT, OFFLINE, Server(0.0, 1e18, 6e9, 6e9), 1.0) == pytest.approx(stored, rel=1e-12)


def test_decode_adds_the_load_and_charges_the_answer_in_full():
    server = Server(0.0, 1e18, 6e9, 6e9)
    loaded = (0.5 * 2 * 1025 + 128) * 2560 * 2 * 32 / 6e9
    assert infersave.decode_layer(OPT, OFFLINE, server, 0.5) == pytest.approx(loaded, rel=1e-3)
    code = (0.5 * 2 * 1025 + 2) * 2560 * 2 * 32 / 6e9
    assert infersave.decode_layer(OPT, OFFLINE, server, 0.5, grown="two") == pytest.approx(code, rel=1e-3)
    assert infersave.decode_layer(OPT, OFFLINE, server, 0.0) < 1e-6


@pytest.mark.parametrize(
    ("task", "ratios", "derived"),
    [
        (ONLINE, [0.0, 0.0, 0.0, 0.0], [1605.0, 5900.0, 6139.0, 17843.0]),
        (OFFLINE, [1.0, 0.6, 0.6, 0.0], [139.0, 450.0, 452.0, 17071.0]),
    ],
)
def test_equations_give_throughputs_computed_apart(task, ratios, derived):
    prefill, decode = infersave.as_published(OPT, task, TABLE_IV, np.array(ratios))
    tps = infersave.total_tps(task, infersave.end_to_end(prefill, decode, task))
    assert tps == pytest.approx(derived, abs=0.6)


def test_whole_hours_and_cost_efficiency_by_hand():
    """1000 x 1152 tokens at 139 tokens/s take 2.30 h, billed as the 3 h of the paper's text: 3 x 0.71 = 2.13 USD."""
    assert infersave.billed_hours(1152000.0, 139.0) == 3.0
    assert infersave.billed_hours(1152000.0, 169.17) == 2.0
    assert infersave.billed_hours(3600.0, 1.0) == 1.0
    assert infersave.cost_efficiency(1152000.0, 139.0, 100.0, 0.71) == pytest.approx(100 * 3600 / (4 * 0.71))


def test_order_is_slo_then_efficiency_then_throughput():
    value, tps = np.array([5.0, 9.0, 5.0, 7.0]), np.array([10.0, 99.0, 20.0, 5.0])
    assert infersave.order(value, tps, [True, False, True, True]) == [3, 2, 0, 1]


# policies

NEED = Need(1.0, 0.05, 5e9, 1e9, 12e9, 11e9, 10e9, 0.5, 0.1, 32.0, 127.0)
OFFER = Offer(14e9, 100e9, 0.0, 10e9, 10e9, 0.0, False)
NUMBERS = st.floats(0.01, 100.0)


def test_infersave_by_hand():
    """14 - 6 = 8 GB for 12 GB: a third goes, and of the mean 11 GB it takes 11 / 3 / 10 s to come back."""
    placed = offload.infersave(NEED, OFFER)
    assert placed.ratio == pytest.approx(1.0 / 3.0)
    assert placed.decode == pytest.approx(0.05 + 11.0 / 30.0)
    assert placed.prefill == 1.0
    assert placed.fits
    assert not offload.infersave(NEED, OFFER._replace(host=3e9)).fits
    assert not offload.infersave(NEED, OFFER, 0.2).fits
    assert offload.infersave(NEED, OFFER._replace(overlapped=True)).decode == pytest.approx(11.0 / 30.0)


def test_with_room_enough_all_policies_are_the_same():
    roomy = OFFER._replace(memory=80e9)
    for name, policy in POLICIES.items():
        placed = policy(NEED, roomy)
        assert (placed.ratio, placed.prefill, placed.decode) == pytest.approx((0.0, 1.0, 0.05)), name
        assert placed.fits, name


def test_kvpr_by_hand_and_where_it_does_not_pay():
    """Loads of k = 0.3667 s, recomputation of r = 0.0333 s: p = 0.9167; loads = p k / 2 + p r."""
    placed = offload.kvpr(NEED, OFFER)
    k, r = 11.0 / 30.0, 0.1 / 3.0
    p = k / (k + r)
    assert placed.loads == pytest.approx(p * k / 2.0 + p * r)
    scan = min(q * k / 2.0 + max(q * r, (1.0 - q) * k) for q in np.linspace(0.0, 1.0, 10001))
    assert placed.loads == pytest.approx(scan, rel=1e-3)  # a scan over the share finds the same least
    assert offload.kvpr(NEED._replace(hidden=2.0), OFFER).loads == pytest.approx(offload.infersave(NEED, OFFER).loads)


@given(NUMBERS, NUMBERS, NUMBERS)
@settings(max_examples=60)
def test_kvpr_is_never_slower_than_infersave(kv, recompute, link):
    need = NEED._replace(kv=kv * 1e9, kv_mean=0.9 * kv * 1e9, kv_prompt=0.8 * kv * 1e9, recompute=recompute)
    offer = OFFER._replace(load=link * 1e9)
    assert offload.kvpr(need, offer).decode <= offload.infersave(need, offer).decode * (1.0 + 1e-9)


def test_flexgens_program_against_a_grid_of_placements():
    """The program's time is the least over all shares of weights and KV cache on a fine grid."""
    best = math.inf
    for w in np.linspace(0.0, 1.0, 101):
        for c in np.linspace(0.0, 1.0, 101):
            if (1 - w) * NEED.weights + (1 - c) * NEED.kv > OFFER.memory - NEED.activations + 1.0:
                continue
            prefill = max(NEED.prefill, w * NEED.weights / OFFER.load, c * NEED.kv_prompt / OFFER.store)
            step = max(NEED.decode, (w * NEED.weights + c * NEED.kv_mean) / OFFER.load)
            best = min(best, prefill + NEED.steps * step)
    placed = offload.flexgen(NEED, OFFER)
    assert placed.prefill + NEED.steps * placed.decode == pytest.approx(best, rel=0.02)  # the grid's step is 1 %
    assert placed.prefill + NEED.steps * placed.decode <= best * (1.0 + 1e-9)


def test_flexgen_uses_the_disk_only_where_there_is_one():
    tight = OFFER._replace(host=1e9)
    assert not offload.flexgen(NEED, tight).fits
    assert offload.flexgen(NEED, tight._replace(disk=100e9, disk_rate=2e9)).fits


@given(NUMBERS, NUMBERS)
@settings(max_examples=40)
def test_a_faster_host_link_is_never_slower(slow, more):
    for policy in POLICIES.values():
        times = [policy(NEED, OFFER._replace(load=rate * 1e9, store=rate * 1e9)) for rate in (slow, slow + more)]
        assert times[1].decode <= times[0].decode * (1.0 + 1e-6)
        assert times[1].prefill <= times[0].prefill * (1.0 + 1e-6)


# hosting


def test_device_times_are_those_of_time_step(warm):
    chips = [am.cluster(load("device", name), 1) for name in ("t4", "l4")]
    sizes, lengths = step_times.axis("batch", [1.0, 32.0]), step_times.axis("context", [200.0, 700.0])
    work = am.workload(phase="decode", batch=sizes, context=lengths)
    found = step_times.device_times(MODEL, chips, work, [sizes, lengths])
    attention, rest = step_times.split_times(MODEL, chips, work, [sizes, lengths])
    assert attention + rest == pytest.approx(found, rel=1e-12)
    for i, chip in enumerate(chips):
        step = am.time_step(MODEL, chip, am.workload(phase="decode", batch=32, context=700))
        assert found[i, 1, 1] == pytest.approx(float(step.step_time), rel=1e-12)
        assert attention[i, 1, 1] == pytest.approx(float(step.time.sel(operator="attention")), rel=1e-12)


def test_mean_decode_step_is_the_mean_over_all_steps(warm):
    """Three nodes against every step of the answer, within 0.5 %."""
    instance = load("instance", "g6.xlarge")
    found = host(MODEL, [instance], ONLINE, Setup(FLEXGEN)).isel(instance=0, batch=0)
    lengths = step_times.axis("context", np.arange(129.0, 641.0))
    work = am.workload(phase="decode", batch=32, context=lengths)
    every = step_times.device_times(MODEL, [am.cluster(load("device", "l4"), 1)], work, [lengths])[0].mean()
    assert float(found.decode) == pytest.approx(every + 32 * FLEXGEN.layer_time, rel=0.005)


def test_ratios_are_an_axis_and_more_offloading_is_never_faster(warm):
    names = ["g4dn.xlarge", "g6e.xlarge"]
    found = host(MODEL, [load("instance", n) for n in names], OFFLINE, Setup(FLEXGEN), ratio=np.linspace(0, 1, 5))
    assert found.sizes == {"instance": 2, "batch": 1, "ratio": 5}
    assert (np.diff(found.decode.values, axis=-1) >= 0.0).all()
    assert not found.feasible.values[0, 0, 0]  # 12 GB of KV cache beside 5 GB of weights on 16 GB
    assert found.feasible.values[1, 0, 0]
    assert all("units" in found[name].attrs for name in found)


def test_memory_rule_of_the_released_code_works_with_physical_time(warm):
    four = [load("instance", n) for n in ("g4dn.xlarge", "g6.xlarge", "g5.xlarge", "g6e.xlarge")]
    found = host(MODEL, four, OFFLINE, Setup(FLEXGEN, memory_rule="released-code"))
    assert found.offload_ratio.values[:, 0].tolist() == [1.0, 0.6, 0.6, 0.0]


# ranking

PRICES = [
    prices.Price("g4dn.xlarge", "here", "on-demand", 0.71, date(2025, 1, 1)),
    prices.Price("g6.xlarge", "here", "on-demand", 1.167, date(2026, 1, 1)),
    prices.Price("g6e.xlarge", "here", "on-demand", 2.699, date(2026, 1, 1)),
]
TODAY = date(2026, 2, 1)


def offered():
    return candidates(prices.offers(PRICES, ["here"], "on-demand"))


def asked_for(**changes):
    base = Inputs(MODEL, 128, 512, Slo(tps=400.0), batch=32)
    return replace(base, **changes)


def test_the_cheapest_that_meets_the_slo_is_chosen(warm):
    found = ranking(asked_for(), offered(), [Setup(FLEXGEN)], TODAY)
    assert found["choice"]["instance"] == "g4dn.xlarge"
    assert [row["instance"] for row in found["rows"]] == ["g4dn.xlarge", "g6.xlarge", "g6e.xlarge"]
    assert found["prices"]["stale"] == 1
    best = found["choice"]
    assert best["cost_usd_per_million_tokens"] == pytest.approx(0.71 / 3600 / best["tps_total"] * 1e6)
    assert best["tps_output"] == pytest.approx(best["tps_total"] * 512 / 640)
    assert ranking(asked_for(slo=Slo(tps=780.0)), offered(), [Setup(FLEXGEN)], TODAY)["choice"]["gpu"] == "l4"


def test_misses_are_ranked_by_how_far_off_they_are():
    reached = {"tps_total": 50.0, "tps_output": 40.0, "ttft_s": 1.0, "tpot_s": 0.2, "latency_s": 9.0, "job_s": 1.0}
    assert misses(Slo(tps=100.0, tpot=0.05, latency=10.0), reached) == (("tpot", 4.0), ("tps", 2.0))
    assert misses(Slo(), reached) == ()


def test_what_nothing_meets_names_the_nearest_miss_and_the_remedy(warm):
    with pytest.raises(Infeasible, match=r"nearest is g6e.xlarge: misses the SLO: tps_total .* of 5 ktoken/s asked"):
        rank(asked_for(slo=Slo(tps=5000.0)), offered(), [Setup(FLEXGEN)])
    with pytest.raises(Infeasible, match="g6e.xlarge at 2.699 USD/h would meet it: raise --max-price"):
        rank(asked_for(slo=Slo(tps=1200.0), max_price=2.0), offered(), [Setup(FLEXGEN)])
    with pytest.raises(Infeasible, match="the cheapest is g4dn.xlarge at 0.71 USD/h"):
        rank(asked_for(max_price=0.1), offered(), [Setup(FLEXGEN)])
    with pytest.raises(Infeasible, match=r"llama-3.1-405b fits no instance on offer; the nearest, g6e.xlarge"):
        rank(asked_for(model=load("model", "llama-3.1-405b")), offered(), [Setup(FLEXGEN)])


def test_several_instances_share_the_demand(warm):
    rows = rank(asked_for(slo=Slo(tps=2000.0), most_instances=10), offered(), [Setup(FLEXGEN)])
    for row in rows:
        assert row.reached["tps_total"] >= 2000.0
        assert row.reached["tps_total"] * (row.copies - 1) / row.copies < 2000.0


def test_fewer_bits_can_be_the_answer(warm):
    """Llama-3-8B does not fit 16 GB at 16 bit and does at 8: the cheapest instance then serves it."""
    asked = asked_for(model=load("model", "llama-3.1-8b"), slo=Slo(tps=50.0), batch=4)
    found = ranking(asked, offered(), precisions(Setup(FLEXGEN), [16.0, 8.0], [16.0, 8.0]), TODAY)
    assert found["choice"]["instance"] == "g4dn.xlarge"
    assert found["choice"]["detail"]["weight_bits"] == 8.0
    assert found["fewer_bits"]["instance_at_most_bits"] == "g6.xlarge"
    assert found["fewer_bits"]["saving"] == pytest.approx(1.0 - 0.71 / 1.167)


def test_a_batch_and_a_rate_exclude_each_other():
    with pytest.raises(SpecError, match="either a batch or a rate"):
        rank(asked_for(rate=1.0), offered(), [Setup(FLEXGEN)])
    with pytest.raises(SpecError, match="needs the physical time model"):
        rank(asked_for(batch=0, rate=1.0, time_model="as-published"), offered(), [Setup(FLEXGEN)])


# calibration


@given(st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
@settings(max_examples=30)
def test_affine_fit_finds_the_line_and_agrees_with_numpy(alpha, beta):
    x = np.array([0.5, 1.0, 2.0, 4.0])
    pair = fit(x, alpha * x + beta)
    assert (pair.alpha, pair.beta) == pytest.approx((alpha, beta), abs=1e-9)
    noisy = alpha * x + beta + np.array([0.1, -0.2, 0.05, 0.02])
    assert tuple(fit(x, noisy)) == pytest.approx(tuple(np.polyfit(x, noisy, 1)), abs=1e-9)


def test_affine_fit_needs_two_points():
    with pytest.raises(SpecError, match="at least two unlike points"):
        fit([1.0, 1.0], [1.0, 2.0])
    assert mean_error(apply(Ctcf(2.0, 1.0), [1.0]), [2.0]) == pytest.approx(0.5)


# prices


def listed(tmp_path, text):
    path = tmp_path / "prices.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_prices_are_read_and_the_cheapest_of_regions_is_offered(tmp_path):
    head = "instance,region,price_per_hour,date,kind,currency\n"
    rows = prices.read_prices(listed(tmp_path, head + "a,x,2,2025-01-01,spot,USD\na,y,1.5,2025-01-02,spot,USD\n"))
    assert prices.offers(rows, ["x", "y"], "spot")["a"].per_hour == 1.5
    assert prices.stale(rows[0], date(2025, 7, 1))  # day 181
    assert not prices.stale(rows[0], date(2025, 6, 30))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "column 'instance' is missing"),
        ("instance,region,price_per_hour,date\n", "has no prices"),
        ("instance,region,price_per_hour\na,x,1\n", "column 'date' is missing"),
        ("instance,region,price_per_hour,date,colour\na,x,1,2025-01-01,red\n", "unknown column 'colour'"),
        ("instance,region,price_per_hour,date\na,x,-1,2025-01-01\n", "line 2: price_per_hour '-1' must be"),
        ("instance,region,price_per_hour,date\na,x,nan,2025-01-01\n", "price_per_hour 'nan' must be"),
        ("instance,region,price_per_hour,date\na,x,1,yesterday\n", "'yesterday' is no day"),
        ("instance,region,price_per_hour,date,currency\na,x,1,2025-01-01,EUR\n", "currency 'EUR' is not USD"),
        ("instance,region,price_per_hour,date,kind\na,x,1,2025-01-01,spto\n", "did you mean 'spot'"),
        ("instance,region,price_per_hour,date\na,,1,2025-01-01\n", "region is empty"),
    ],
)
def test_price_lists_that_are_wrong_say_where(tmp_path, text, told):
    with pytest.raises(SpecError, match=told):
        prices.read_prices(listed(tmp_path, text))


def test_unknown_regions_name_the_closest():
    with pytest.raises(SpecError, match="did you mean 'us-east-1'"):
        prices.offers(prices.shipped(), ["us-east1"], "on-demand")


def test_shipped_prices_are_of_known_instances():
    assert {price.instance for price in prices.shipped()} <= set(available("instance"))
    assert {price.region for price in prices.shipped()} >= {"us-east-1", "ap-northeast-1", "eastus", "lambda-us"}


@pytest.mark.parametrize("name", available("instance"))
def test_instance_names_a_device_and_a_link(name):
    instance = load("instance", name)
    assert instance.device in available("device")
    assert instance.link in available("link")
    assert load("link", instance.link).devices >= instance.devices
    assert bool(instance.disk) == bool(instance.disk_bandwidth)
